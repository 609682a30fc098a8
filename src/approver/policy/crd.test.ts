import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { type StructuralSchema, schemaFaults } from '../fixtures/structural-schema.ts'
import { policyDocument } from '../fixtures/world.ts'
import { readManifest } from '../../manifest/manifest.ts'
import { loadCel } from '../rule/cel.ts'
import { policySpecSchema } from './certificate-policy.ts'
import { loadPolicies } from './load-policies.ts'

// The API server's schema and the approver's own reading must take and refuse the same policies, as far as a schema can tell.

interface Crd {
  readonly spec: {
    readonly group: string
    readonly scope: string
    readonly names: { readonly kind: string; readonly plural: string }
    readonly versions: readonly [
      { readonly name: string; readonly schema: { readonly openAPIV3Schema: StructuralSchema } },
    ]
  }
}

const crd = parse(readFileSync(new URL('../../../deploy/approver/crd.yaml', import.meta.url), 'utf8')) as Crd
const schema = crd.spec.versions[0].schema.openAPIV3Schema.properties?.['spec'] as StructuralSchema

async function problemsOf(spec: object): Promise<readonly string[]> {
  const { documents } = readManifest({ name: 'policy', text: policyDocument('p', spec) })
  const { problems } = await loadPolicies(documents, { allowApiserverSigners: false }, () => loadCel())
  return problems.map(({ message }) => message)
}

const signerNames = ['example.com/serving']
const requests = { signerNames }
const withPods = { kinds: ['PodCertificateRequest'], signerNames }
const issue = { dnsNames: ['${service.name}.${namespace}.svc'], usages: ['server auth'] }

const good: readonly [string, object][] = [
  ['the least', { requests }],
  [
    'an issuer',
    { requests: { issuers: [{ name: 'ca' }, { name: '*', kind: 'ClusterIssuer', group: 'cert-manager.io' }] } },
  ],
  [
    'selectors',
    {
      requests: {
        signerNames: ['example.com/*'],
        namespaces: { names: ['shop-*'], matchLabels: { a: 'b' } },
        serviceAccounts: { names: ['web'] },
      },
    },
  ],
  [
    'every field',
    {
      requests: { kinds: ['CertificateSigningRequest'], signerNames },
      binding: 'none',
      subjects: { users: ['anna'], groups: ['ops'], serviceAccounts: [{ namespace: 'a', name: 'b' }], mayUse: true },
      names: {
        allowed: { dnsNames: ['*.example.com'], uris: [] },
        required: { commonNames: ['*'] },
        allowWildcardNames: true,
      },
      keys: [{ algorithm: 'RSA', minSize: 3072, maxSize: 4096 }],
      usages: ['server auth'],
      duration: { min: '10m', max: '1.5h' },
      rules: [{ name: 'a', expression: 'true', message: 'b' }],
      neverDeny: true,
      tests: [
        {
          name: 't',
          request: { user: 'anna', dnsNames: ['a'], key: { algorithm: 'Ed25519' } },
          objects: [{ kind: 'Pod', metadata: {} }],
          expect: 'wait',
        },
      ],
    },
  ],
  ['pods', { requests: withPods, issue }],
  ['words for pods', { requests, names: { allowBareNames: true, allowPodIPs: true } }],
]

const bad: readonly [string, object][] = [
  ['nothing', {}],
  ['nobody who signs', { requests: {} }],
  ['an unknown field', { requests, name: {} }],
  ['an unknown field inside', { requests: { signerNames, namespace: {} } }],
  ['a list that is none', { requests: { signerNames: 'example.com/x' } }],
  ['an empty list', { requests: { signerNames: [] } }],
  ['a signer without a path', { requests: { signerNames: ['example'] } }],
  ['a signer of all domains', { requests: { signerNames: ['*/x'] } }],
  ['an unknown kind', { requests: { signerNames, kinds: ['Certificate'] } }],
  ['an issuer without a name', { requests: { issuers: [{ kind: 'Issuer' }] } }],
  ['an unknown binding', { requests, binding: 'all' }],
  ['none without subjects', { requests, binding: 'none' }],
  ['empty subjects', { requests, subjects: {} }],
  ['mayUse of false', { requests, binding: 'none', subjects: { mayUse: false } }],
  ['wildcard names for pods', { requests, names: { allowWildcardNames: true } }],
  ['pod addresses for service accounts', { requests, binding: 'serviceAccount', names: { allowPodIPs: true } }],
  ['bare names for service accounts', { requests, binding: 'serviceAccount', names: { allowBareNames: true } }],
  ['an empty name', { requests, names: { allowed: { dnsNames: [''] } } }],
  ['a name of 513 characters', { requests, names: { allowed: { organizations: ['x'.repeat(513)] } } }],
  ['65 names', { requests, names: { allowed: { organizations: Array.from({ length: 65 }, (_, n) => `o${n}`) } } }],
  ['an unknown algorithm', { requests, keys: [{ algorithm: 'DSA' }] }],
  ['a size of half a bit', { requests, keys: [{ algorithm: 'RSA', minSize: 0.5 }] }],
  ['sizes the wrong way round', { requests, keys: [{ algorithm: 'RSA', minSize: 4096, maxSize: 2048 }] }],
  ['an unknown usage', { requests, usages: ['server'] }],
  ['a duration without a unit', { requests, duration: { max: '24' } }],
  ['a duration in days', { requests, duration: { max: '1d' } }],
  ['a negative duration', { requests, duration: { max: '-1h' } }],
  ['pods without names to issue', { requests: withPods }],
  ['names to issue that are none', { requests: withPods, issue: { usages: ['server auth'] } }],
  ['names to issue without usages', { requests: withPods, issue: { dnsNames: issue.dnsNames } }],
  ['names to issue for nodes', { requests: withPods, binding: 'node', issue }],
  ['a rule without an expression', { requests, rules: [{ name: 'a' }] }],
  [
    'an expression of 2049 characters',
    { requests, rules: [{ name: 'a', expression: `"${'x'.repeat(2040)}" == "a"` }] },
  ],
  ['a test without an end', { requests, tests: [{ name: 'a', request: {} }] }],
  ['a test of another end', { requests, tests: [{ name: 'a', request: {}, expect: 'approved' }] }],
  [
    'an object of a test without a kind',
    { requests, tests: [{ name: 'a', request: {}, objects: [{}], expect: 'wait' }] },
  ],
]

test('the CRD is for the kind that the approver reads', () => {
  expect(crd.spec).toMatchObject({
    group: 'podpass.io',
    scope: 'Cluster',
    names: { kind: 'CertificatePolicy' },
    versions: [{ name: 'v1alpha1' }],
  })
})

describe('both take a policy with', () => {
  test.each(good)('%s', async (_what, spec) => {
    expect(schemaFaults(schema, spec)).toEqual([])
    expect(await problemsOf(spec)).toEqual([])
  })
})

describe('both refuse a policy with', () => {
  test.each(bad)('%s', async (_what, spec) => {
    expect(schemaFaults(schema, spec)).not.toEqual([])
    expect(await problemsOf(spec)).not.toEqual([])
  })
})

/** The paths of all fields, as the CRD and as the approver name them. */
function crdPaths({ properties = {}, items, additionalProperties }: StructuralSchema, path: string): string[] {
  if (items !== undefined) return crdPaths(items, `${path}[]`)
  if (additionalProperties !== undefined) return [`${path}{}`]
  const keys = Object.entries(properties)
  return keys.length === 0 ? [path] : keys.flatMap(([key, inside]) => crdPaths(inside, `${path}.${key}`))
}

function readerPaths(schema: unknown, path: string): string[] {
  const { type, wrapped, item, entries, pipe } = schema as {
    type: string
    wrapped?: unknown
    item?: unknown
    entries?: object
    pipe?: readonly unknown[]
  }
  if (wrapped !== undefined) return readerPaths(wrapped, path)
  if (pipe?.[0] !== undefined && pipe[0] !== schema) return readerPaths(pipe[0], path)
  if (item !== undefined) return readerPaths(item, `${path}[]`)
  if (type === 'record') return [`${path}{}`]
  const keys = Object.entries(entries ?? {})
  return keys.length === 0 ? [path] : keys.flatMap(([key, inside]) => readerPaths(inside, `${path}.${key}`))
}

test('both have the same fields', () => {
  expect(crdPaths(schema, 'spec').sort()).toEqual(readerPaths(policySpecSchema, 'spec').sort())
  expect(v.safeParse(policySpecSchema, { requests }).success).toBe(true)
})
