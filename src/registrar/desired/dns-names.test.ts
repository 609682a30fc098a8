import { expect, test } from 'vitest'
import type { ServiceAddress } from '../observed.ts'
import { address, crd, pod, reconcile } from './fixtures/configurations.ts'
import { type DnsNames, dnsNamesOf } from './dns-names.ts'
import { identityRules } from './identity-rules.ts'

const foo = { ...pod, namespace: 'bar', name: 'foo', ip: '123.123.123.124' }
const fooAddress = { ...address, service: 'foo-svc', ip: '123.123.123.123' }

function ofCluster(addresses: readonly ServiceAddress[], of = foo): DnsNames {
  return dnsNamesOf(identityRules({ ...reconcile, podDnsNames: true }).names, of, addresses)
}

function forms(prefix: string): readonly string[] {
  return [prefix, `${prefix}.bar`, `${prefix}.bar.svc`, `${prefix}.bar.svc.cluster.local`]
}

const ofPod = ['123-123-123-124.bar.pod.cluster.local', '123-123-123-124.bar.pod']

test('a pod behind a service has fourteen names, those of its own address first', () => {
  expect(ofCluster([fooAddress])).toEqual({
    dnsNames: [...ofPod, ...forms('123-123-123-123.foo-svc'), ...forms('foo-svc'), ...forms('foo.foo-svc')],
    notices: [],
  })
})

test('a hostname takes the place of address and name', () => {
  expect(ofCluster([{ ...fooAddress, hostname: 'host' }]).dnsNames).toEqual([
    ...ofPod,
    ...forms('foo-svc'),
    ...forms('host.foo-svc'),
  ])
})

test('a hostname, pod or service with a dot in its name makes no names of its own', () => {
  expect(ofCluster([{ ...fooAddress, hostname: 'ho.st' }]).dnsNames).toContain('foo.foo-svc')
  expect(ofCluster([fooAddress], { ...foo, name: 'f.oo' }).dnsNames).toEqual([
    ...ofPod,
    ...forms('123-123-123-123.foo-svc'),
    ...forms('foo-svc'),
  ])
  expect(ofCluster([{ ...fooAddress, service: 'foo.svc' }]).dnsNames).toEqual(ofPod)
})

test('names of several services are in one order, each once', () => {
  const other = { ...fooAddress, service: 'a-svc', ready: false }
  const { dnsNames } = ofCluster([fooAddress, other, fooAddress])
  expect(dnsNames.slice(2)).toEqual([...new Set(dnsNames.slice(2))].sort())
  expect(dnsNames).toHaveLength(26)
  expect(ofCluster([other, fooAddress]).dnsNames).toEqual(dnsNames)
})

test('a pod without an address has no names yet', () => {
  expect(ofCluster([fooAddress], { ...foo, ip: '' })).toEqual({ dnsNames: [], notices: [] })
})

test('of a service of two families, the address of the pod’s own family counts', () => {
  const { dnsNames } = ofCluster([fooAddress, { ...fooAddress, ip: 'fd00::7' }])
  expect(dnsNames).toEqual(ofCluster([fooAddress]).dnsNames)
  expect(ofCluster([{ ...fooAddress, ip: 'fd00:1::7' }]).dnsNames).toContain('fd00-1--7.foo-svc')
})

test('an address that is no label is left out, and the rest stays', () => {
  const { dnsNames, notices } = ofCluster([], { ...foo, ip: '::1' })
  expect(dnsNames).toEqual([])
  expect(notices).toEqual([
    'no certificate can hold the DNS names "--1.bar.pod.cluster.local", "--1.bar.pod": they were left out',
  ])
})

test('an address of a former pod of the same name does not count', () => {
  expect(ofCluster([{ ...fooAddress, podUid: 'former' }]).dnsNames).toEqual(ofPod)
  expect(ofCluster([{ ...fooAddress, podUid: '' }]).dnsNames).toHaveLength(14)
})

test('the names of a pod behind very many services are bounded', () => {
  const { dnsNames, notices } = ofCluster(
    Array.from({ length: 100 }, (_, index) => ({ ...fooAddress, service: `s${index}` })),
  )
  expect(dnsNames).toHaveLength(256)
  expect(notices).toEqual(['of 1202 DNS names, the first 256 are in the certificate'])
})

function ofTemplates(templates: readonly string[], of = pod, addresses: readonly ServiceAddress[] = []): DnsNames {
  const config = { ...crd, dnsNameTemplates: templates, context: { Zone: 'example.org' } }
  return dnsNamesOf(identityRules(config).names, of, addresses)
}

test('templates make names in their order, and services follow', () => {
  const templates = [
    '{{.Pod.Name}}.{{.Context.Zone}}',
    '*.{{.Pod.Namespace}}.svc',
    '{{.Pod.Name}}.{{.Context.Zone}}',
    'web.shop.svc',
  ]
  expect(ofTemplates(templates, pod, [address])).toEqual({
    dnsNames: ['web-0.example.org', '*.shop.svc', 'web.shop.svc'],
    notices: [],
  })
  expect(ofTemplates([])).toEqual({ dnsNames: [], notices: [] })
})

test('spaces in and around a template’s result mean nothing', () => {
  const templates = [
    '{{ .Pod.Name }} . {{ .Context.Zone }}',
    '{{if eq .Pod.Name "web-0"}}zero{{else}}other{{end}}',
    '{{- .Pod.Namespace -}}',
  ]
  expect(ofTemplates(templates).dnsNames).toEqual(['web-0.example.org', 'zero', 'shop'])
})

test('a name that no certificate can hold is left out, and the identity stays', () => {
  const { dnsNames, notices } = ofTemplates(['{{.Pod.Name}}', '{{.Pod.Namespace}}'], { ...pod, name: 'a'.repeat(64) })
  expect(dnsNames).toEqual(['shop'])
  expect(notices).toEqual([expect.stringMatching(/^validating the dns name template: "a{64}": /)])
})

test.each([
  ['{{.Pod.Name', 'parsing dns name template: line 1: unclosed action'],
  ['{{.Pod.Nope}}', "executing the dns name template: line 1: can't evaluate field Nope"],
  ['{{.Pod.Name}}_x', 'validating the dns name template: "xx_x": '],
  ['{{.Pod.Name}}..x', 'validating the dns name template: "xx..x": has an empty label'],
  ['-x', 'validating the dns name template: "-x": '],
])('the template %s is refused at start', (template, message) => {
  expect(() => ofTemplates([template])).toThrow(message)
})
