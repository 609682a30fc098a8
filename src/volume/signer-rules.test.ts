import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { attributePrefix, kubeletKeys } from './attributes.ts'
import { parseVolumeSpec, standardDefaults } from './spec.ts'

const kubelet = {
  [kubeletKeys.ephemeral]: 'true',
  [kubeletKeys.podName]: 'web-0',
  [kubeletKeys.podNamespace]: 'sandbox',
  [kubeletKeys.podUid]: '00000000-0000-4000-8000-000000000000',
  [kubeletKeys.serviceAccount]: 'web',
}

type Attributes = Readonly<Record<string, string>>

function parse(attributes: Attributes, duration = standardDefaults.duration) {
  const all = { 'issuer-group': 'certificates.k8s.io', 'issuer-name': 'example.com/serving', ...attributes }
  const prefixed = Object.entries(all).map(([name, value]) => [attributePrefix + name, value])
  return parseVolumeSpec({ ...kubelet, ...Object.fromEntries(prefixed) }, { ...standardDefaults, duration })
}

/** What is wrong, each as `attribute: message`. */
function problemsOf(attributes: Attributes, duration?: number): string[] {
  const result = parse(attributes, duration)
  const problems = result.ok ? [] : result.problems
  return problems.map(({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`)
}

const client = { 'issuer-name': 'kubernetes.io/kube-apiserver-client', 'key-usages': 'client auth' }
const node = { organizations: 'system:nodes', 'common-name': 'system:node:worker-1' }
const kubeletClient = {
  ...node,
  'issuer-name': 'kubernetes.io/kube-apiserver-client-kubelet',
  'key-usages': 'digital signature,client auth',
}
const kubeletServing = {
  ...node,
  'issuer-name': 'kubernetes.io/kubelet-serving',
  'key-usages': 'digital signature,key encipherment,server auth',
  'ip-sans': '10.0.0.1',
}

test('a volume of the certificates API has the kind Signer, said or not, and no other', () => {
  const result = parse({})
  expect(result.ok && result.spec.issuer).toEqual({
    name: 'example.com/serving',
    kind: 'Signer',
    group: 'certificates.k8s.io',
  })
  expect(problemsOf({ 'issuer-kind': 'Signer' })).toEqual([])
  expect(problemsOf({ 'issuer-kind': 'Issuer' })).toEqual([
    'issuer-kind: unsupported value "Issuer": the group certificates.k8s.io has only Signer',
  ])
})

test.each([
  ['9m59s', false],
  ['10m', true],
  ['596523h14m7s', true],
  ['596523h14m8s', false],
])('a lifetime of %s: %s', (duration, isAllowed) => {
  expect(problemsOf({ duration }).join().includes('cannot be asked of a signer')).toBe(!isAllowed)
})

test('a default lifetime that no signer takes is told as well', () => {
  expect(problemsOf({}, 60_000)).toEqual([expect.stringContaining('duration: a lifetime of 60s cannot be asked')])
})

test.each([
  'serving',
  'com/serving',
  'example.com/',
  '/serving',
  'example.com/a/b',
  'Example.com/serving',
  'example.com/Serving',
  'example.com/-a',
  'example..com/a',
  `example.com/${'a'.repeat(64)}`,
  `${'a.'.repeat(127)}aa/serving`,
])('%j is the name of no signer', (name) => {
  expect(problemsOf({ 'issuer-name': name })).toEqual([
    expect.stringContaining('must be the name of a signer, such as example.com/serving'),
  ])
})

test('every name of the documented form is taken', () => {
  const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?$/)
  const domain = fc
    .array(label, { minLength: 2, maxLength: 5 })
    .filter((labels) => labels.join('.') !== 'kubernetes.io')
  fc.assert(
    fc.property(domain, fc.array(label, { minLength: 1, maxLength: 5 }), (labels, path) => {
      expect(problemsOf({ 'issuer-name': `${labels.join('.')}/${path.join('.')}` })).toEqual([])
    }),
  )
})

test.each([
  ['a client of the API server', client],
  [
    'with names',
    { ...client, 'dns-names': 'web.example', organizations: 'web', 'key-usages': 'client auth,key encipherment' },
  ],
  ["a kubelet's client", kubeletClient],
  ["a kubelet's server", kubeletServing],
])('a built-in signer signs %s', (_what, attributes) => {
  expect(problemsOf(attributes)).toEqual([])
})

test.each([
  ['legacy-unknown', { 'issuer-name': 'kubernetes.io/legacy-unknown' }, 'issuer-name: no signer'],
  ['the signer of pods', { 'issuer-name': 'kubernetes.io/kube-apiserver-client-pod' }, 'issuer-name: no signer'],
  [
    'the usual usages',
    { 'issuer-name': client['issuer-name'] },
    'key-usages: kubernetes.io/kube-apiserver-client signs',
  ],
  ['a server', { ...client, 'key-usages': 'client auth,server auth' }, 'key-usages: '],
  ['a CA', { ...client, 'is-ca': 'true' }, 'is-ca: '],
  ['other names', { ...client, 'other-names': '1.2.3=web' }, 'other-names: '],
  ['masters', { ...client, organizations: 'web,system:masters' }, 'organizations: '],
  ['masters in a literal subject', { ...client, 'literal-subject': 'CN=a,O=system:masters' }, 'organizations: '],
  ['a kubelet with a name', { ...kubeletClient, 'dns-names': 'web.example' }, 'dns-names: '],
  ['a kubelet of another name', { ...kubeletClient, 'common-name': 'web' }, 'common-name: '],
  ['a kubelet of two groups', { ...kubeletClient, organizations: 'system:nodes,web' }, 'organizations: '],
  ['a kubelet without a name', { ...kubeletServing, 'ip-sans': '' }, 'dns-names: '],
  ['a kubelet with a URI', { ...kubeletServing, 'uri-sans': 'spiffe://example.org/web' }, 'uri-sans: '],
  ['a kubelet with an address', { ...kubeletServing, 'email-sans': 'web@example.org' }, 'email-sans: '],
  ['a kubelet without a usage', { ...kubeletServing, 'key-usages': 'server auth' }, 'key-usages: '],
])('no built-in signer signs %s', (_what, attributes, problem) => {
  expect(problemsOf(attributes)).toEqual([expect.stringContaining(problem)])
})

test('everything is told at once', () => {
  const all = { ...client, duration: '1m', 'issuer-kind': 'X', 'key-usages': 'any', organizations: 'system:masters' }
  expect(problemsOf(all)).toHaveLength(4)
})

test('none of it is about issuers of other groups', () => {
  const other = { 'issuer-group': 'cert-manager.io', 'issuer-name': 'serving', duration: '1m' }
  expect(problemsOf(other)).toEqual([])
})
