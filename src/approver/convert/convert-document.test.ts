import { stringify } from 'yaml'
import { describe, expect, test } from 'vitest'
import { readManifest } from '../../manifest/manifest.ts'
import { managedRequest } from '../fixtures/requests.ts'
import { ask, policiesOf } from '../fixtures/world.ts'
import { liveObjectsOf } from '../live-objects.ts'
import { buildSubject } from '../../x509/name.ts'
import type { Policy } from '../policy/policy.ts'
import { convertDocument } from './convert-document.ts'

const issuerRef = { name: 'ca', kind: 'ClusterIssuer', group: 'cert-manager.io' }
const usages = ['digital signature', 'server auth']

function convert(spec: object) {
  const text = JSON.stringify({
    apiVersion: 'policy.cert-manager.io/v1alpha1',
    kind: 'CertificateRequestPolicy',
    metadata: { name: 'web' },
    spec,
  })
  const [converted] = readManifest({ name: 'theirs.yaml', text }).documents.flatMap(convertDocument)
  const messages = (problems: readonly { readonly message: string }[] = []): string[] =>
    problems.map(({ message }) => message)
  return { policy: converted?.policy, errors: messages(converted?.errors), warnings: messages(converted?.warnings) }
}

async function policyOf(spec: object): Promise<readonly Policy[]> {
  const { policy, errors } = convert(spec)
  expect(errors).toEqual([])
  return policiesOf(stringify(policy))
}

const mayUse = { live: liveObjectsOf([], new Set(['web'])) }
const decide = (policies: readonly Policy[], asked: Parameters<typeof managedRequest>[0], spec = {}) =>
  ask(managedRequest(asked, spec), policies, mayUse).is

describe('names', () => {
  test('that are allowed stay allowed, label by label', async () => {
    const policies = await policyOf({
      allowed: { dnsNames: { values: ['example.com', '*.example.com', 'web*.shop.svc'] }, usages },
      selector: { issuerRef },
    })
    expect(
      decide(policies, { names: { dns: ['example.com', 'www.example.com', 'web.shop.svc', 'web-1.shop.svc'] } }),
    ).toBe('approve')
    expect(decide(policies, { names: { dns: ['a.b.example.com'] } })).toBe('deny')
    expect(decide(policies, { names: { dns: ['*.example.com'] } })).toBe('deny')
    expect(decide(policies, { names: { ip: ['10.0.0.1'] } })).toBe('deny')
  })

  test('with an asterisk are told to be fewer', () => {
    const { warnings } = convert({
      allowed: { dnsNames: { values: ['*.example.com'] }, uris: { values: ['spiffe://td/ns/*'] }, usages },
      selector: { issuerRef },
    })
    expect(warnings).toContainEqual(
      'spec.allowed.dnsNames.values[0] "*.example.com": its asterisk stands for one label here, and for no wildcard name',
    )
    expect(warnings).toContainEqual(
      'spec.allowed.uris.values[0] "spiffe://td/ns/*": its asterisk stands for one segment of the path here',
    )
  })

  test.each([
    ['*', ['10.0.0.1', '2001:db8::1'], []],
    ['10.1.*', ['10.1.2.3'], ['10.2.0.1', '10.10.0.1']],
    ['10.0.0.7', ['10.0.0.7'], ['10.0.0.8']],
  ])('of addresses: %s', async (value, good, bad) => {
    const policies = await policyOf({ allowed: { ipAddresses: { values: [value] }, usages }, selector: { issuerRef } })
    for (const ip of good) expect(decide(policies, { names: { ip: [ip] } })).toBe('approve')
    for (const ip of bad) expect(decide(policies, { names: { ip: [ip] } })).toBe('deny')
  })

  test('that are required are required', async () => {
    const policies = await policyOf({
      allowed: {
        commonName: { value: 'web', required: true },
        dnsNames: { values: ['*.svc', 'a', 'b'], required: true },
        usages,
      },
      selector: { issuerRef },
    })
    const subject = buildSubject({ commonName: 'web' })
    expect(decide(policies, { subject, names: { dns: ['a'] } })).toBe('approve')
    expect(decide(policies, { subject })).toBe('deny')
    expect(decide(policies, { names: { dns: ['a'] } })).toBe('deny')
  })

  test('of the subject are carried over', async () => {
    const policies = await policyOf({
      allowed: { subject: { organizations: { values: ['team *'] }, serialNumber: { value: '7' } }, usages },
      selector: { issuerRef },
    })
    expect(decide(policies, { subject: buildSubject({ organizations: ['team a'], serialNumber: '7' }) })).toBe(
      'approve',
    )
    expect(decide(policies, { subject: buildSubject({ organizations: ['x'] }) })).toBe('deny')
    expect(decide(policies, { subject: buildSubject({ serialNumber: '8' }) })).toBe('deny')
  })
})

describe('expressions', () => {
  const withRule = (rule: string) =>
    policyOf({
      allowed: { uris: { values: ['spiffe://td/ns/*/sa/*'], validations: [{ rule, message: 'not yours' }] }, usages },
      selector: { issuerRef },
    })
  const asked = (sa: string, namespace = 'shop') => ({ names: { uri: [`spiffe://td/ns/${namespace}/sa/${sa}`] } })

  test.each([
    "self.startsWith('spiffe://%s/ns/%s/sa/'.format(['td', cr.namespace]))",
    "self.startsWith('spiffe://td/ns/' + cr.namespace + '/sa/')",
    "self == 'spiffe://td/ns/%s/sa/%s'.format([serviceAccount(cr.username).getNamespace(), serviceAccount(cr.username).getName()])",
    "self.matches('^spiffe://td/ns/shop/sa/[a-z]+$') && 'system:authenticated' in cr.groups",
  ])('%s', async (rule) => {
    const policies = await withRule(rule)
    expect(decide(policies, asked('web'))).toBe('approve')
    expect(decide(policies, asked('web', 'bank'))).toBe('deny')
  })

  test('on one value look at it only where it is asked for', async () => {
    const policies = await policyOf({
      allowed: {
        commonName: { validations: [{ rule: "self.endsWith('.com')" }] },
        dnsNames: { values: ['a'] },
        usages,
      },
      selector: { issuerRef },
    })
    expect(decide(policies, { names: { dns: ['a'] } })).toBe('approve')
    expect(decide(policies, { subject: buildSubject({ commonName: 'web.com' }) })).toBe('approve')
    expect(decide(policies, { subject: buildSubject({ commonName: 'web.org' }) })).toBe('deny')
  })

  test('that we do not understand are no policy', async () => {
    const { policy } = convert({
      allowed: { uris: { values: ['spiffe://td/a'], validations: [{ rule: 'self.isURL()' }] }, usages },
      selector: { issuerRef },
    })
    await expect(policiesOf(stringify(policy))).rejects.toThrow('there is no function isURL')
  })
})

describe('constraints', () => {
  test('on the lifetime', async () => {
    const policies = await policyOf({
      allowed: { dnsNames: { values: ['a'] }, usages },
      constraints: { minDuration: '1h', maxDuration: '24h0m0s' },
      selector: { issuerRef },
    })
    const names = { names: { dns: ['a'] } }
    expect(decide(policies, names, { duration: '24h' })).toBe('approve')
    expect(decide(policies, names, { duration: '25h' })).toBe('deny')
    expect(decide(policies, names, { duration: '30m' })).toBe('deny')
  })

  test.each([
    [{ algorithm: 'RSA', minSize: 2048, maxSize: 4096 }, [{ algorithm: 'RSA', minSize: 2048, maxSize: 4096 }]],
    [
      { maxSize: 384 },
      [{ algorithm: 'RSA', maxSize: 384 }, { algorithm: 'ECDSA', maxSize: 384 }, { algorithm: 'Ed25519' }],
    ],
    [
      { minSize: 256 },
      [
        { algorithm: 'RSA', minSize: 256 },
        { algorithm: 'ECDSA', minSize: 256 },
      ],
    ],
    [{ algorithm: 'Ed25519' }, [{ algorithm: 'Ed25519' }]],
  ])('on the key: %j', (privateKey, keys) => {
    expect(convert({ allowed: { usages }, constraints: { privateKey }, selector: { issuerRef } }).policy).toMatchObject(
      { spec: { keys } },
    )
  })
})

describe('selectors', () => {
  test('of an issuer default to all, and an asterisk may stand for nothing', async () => {
    const allowed = { dnsNames: { values: ['a'] }, usages }
    const names = { names: { dns: ['a'] } }
    for (const ref of [null, {}, { kind: '*Issuer' }, { name: 'c*', kind: 'Cluster*' }, { name: 'ca*' }]) {
      expect(decide(await policyOf({ allowed, selector: { issuerRef: ref } }), names)).toBe('approve')
    }
    expect(decide(await policyOf({ allowed, selector: { issuerRef: { kind: 'Issuer' } } }), names)).toBe('leave alone')
  })

  test('of namespaces stay, by name and label', async () => {
    const allowed = { dnsNames: { values: ['a'] }, usages }
    const names = { names: { dns: ['a'] } }
    expect(decide(await policyOf({ allowed, selector: { namespace: { matchNames: ['sh*'] } } }), names)).toBe('approve')
    expect(decide(await policyOf({ allowed, selector: { namespace: { matchNames: ['bank'] } } }), names)).toBe(
      'leave alone',
    )
    expect(decide(await policyOf({ allowed, selector: { namespace: { matchLabels: { a: 'b' } } } }), names)).toBe(
      'wait',
    )
  })

  test('by RBAC stay with RBAC, and it is told that the right has another name', async () => {
    const spec = { allowed: { dnsNames: { values: ['a'] }, usages }, selector: { issuerRef } }
    const request = managedRequest({ names: { dns: ['a'] } })
    expect(ask(request, await policyOf(spec), { live: { ...liveObjectsOf([]), mayUse: () => false } }).is).toBe(
      'leave alone',
    )
    expect(convert(spec).warnings).toEqual([
      expect.stringContaining('grant the verb use on certificatepolicies.podpass.io'),
    ])
  })
})

describe('what cannot be carried over', () => {
  test.each([
    [
      'a plugin',
      { allowed: { usages }, plugins: { rego: { values: {} } }, selector: { issuerRef } },
      'spec.plugins.rego is a condition that cannot be carried over',
    ],
    [
      'no usages',
      { allowed: { dnsNames: { values: ['a'] } }, selector: { issuerRef } },
      'allows none, which ours cannot say',
    ],
    [
      'two asterisks',
      { allowed: { dnsNames: { values: ['*a*.svc'] }, usages }, selector: { issuerRef } },
      'spec.allowed.dnsNames.values[0] "*a*.svc" is no DNS name',
    ],
    [
      'a URI of any kind',
      { allowed: { uris: { values: ['*'] }, usages }, selector: { issuerRef } },
      'spec.allowed.uris.values[0] "*" is no URI',
    ],
    [
      'an issuer with two asterisks',
      { allowed: { usages }, selector: { issuerRef: { name: '*a*' } } },
      'spec.selector.issuerRef.name has more than one asterisk',
    ],
    [
      'an unknown field',
      { allowed: { dnsName: {} }, selector: { issuerRef } },
      'spec.allowed.dnsName is unknown, did you mean dnsNames?',
    ],
  ])('is an error: %s', (_what, spec, message) => {
    expect(convert(spec).errors).toContainEqual(expect.stringContaining(message))
  })

  test.each([
    ['being a CA', { isCA: true }, 'no request for a certificate authority is approved'],
    ['usages of CAs', { usages: [...usages, 'cert sign'] }, 'cert sign: left out'],
    ['other names', { otherNames: [{ oid: '1.2.3' }] }, 'requests with other names are refused'],
    [
      'other attributes',
      { subject: { otherAttributes: [{ oid: '1.2.3' }] } },
      'requests with these attributes are refused',
    ],
  ])('and was more than we allow is a warning: %s', (_what, allowed, message) => {
    const { errors, warnings } = convert({ allowed: { usages, ...allowed }, selector: { issuerRef } })
    expect(errors).toEqual([])
    expect(warnings).toContainEqual(expect.stringContaining(message))
  })
})

test('a List gives each of its policies, and RBAC beside them is left out', () => {
  const policy = {
    apiVersion: 'policy.cert-manager.io/v1alpha1',
    kind: 'CertificateRequestPolicy',
    metadata: { name: 'a' },
    spec: { allowed: { usages }, selector: { issuerRef } },
  }
  const text = [{ kind: 'List', items: [policy, policy] }, { kind: 'RoleBinding' }, { kind: 'Secret' }]
    .map((value) => JSON.stringify(value))
    .join('\n')
  const converted = readManifest({ name: 'x', text }).documents.flatMap(convertDocument)
  expect(converted.map(({ errors }) => errors.length)).toEqual([0, 0, 1])
})
