import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import type { Resource } from '../../kubernetes/resource.ts'
import { podRequest } from '../fixtures/requests.ts'
import { type AdmissionBinding, admissionObstacle, type AdmissionPolicy, creatorObstacle } from './creator-admission.ts'

const signer = 'example.com/pods'
const manifest = readFileSync(join(import.meta.dirname, '../../../deploy/approver/admission.yaml'), 'utf8')
const [policy, binding] = parseAllDocuments(manifest).map((document): unknown => document.toJS()) as [
  AdmissionPolicy,
  AdmissionBinding,
]

type Json = Record<string, unknown>

/** The object with something else at a place below its spec. */
function changed<T extends KubernetesObject>(object: T, path: readonly (string | number)[], value: unknown): T {
  const copy = structuredClone(object) as unknown as Json
  const last = path.at(-1) ?? ''
  const parent = path.slice(0, -1).reduce<Json>((at, key) => at[key] as Json, copy['spec'] as Json)
  parent[last] = value
  return copy as unknown as T
}

test('what ships is what counts', () => {
  expect(admissionObstacle(signer, policy, binding)).toBeUndefined()
})

test('a policy for every signer, or for more, counts as well', () => {
  const { matchConditions: _, ...spec } = policy.spec ?? {}
  expect(admissionObstacle(signer, { ...policy, spec }, binding)).toBeUndefined()
  const more = "object.spec.signerName in ['a.example/b', 'example.com/pods']"
  expect(
    admissionObstacle(signer, changed(policy, ['matchConditions', 0, 'expression'], more), binding),
  ).toBeUndefined()
})

describe('pods get nothing', () => {
  test.each<[string, AdmissionPolicy | undefined, string]>([
    ['without a policy', undefined, 'there is no ValidatingAdmissionPolicy'],
    ['where it is ignored when it fails', changed(policy, ['failurePolicy'], 'Ignore'), 'failurePolicy: Fail'],
    ['where it has parameters', changed(policy, ['paramKind'], { kind: 'X' }), 'depends on parameters'],
    [
      'where another version is a way around it',
      changed(policy, ['matchConstraints', 'matchPolicy'], 'Exact'),
      'does not match every',
    ],
    [
      'where namespaces are left out',
      changed(policy, ['matchConstraints', 'namespaceSelector'], { matchLabels: { a: 'b' } }),
      'does not match every',
    ],
    [
      'where objects are left out',
      changed(policy, ['matchConstraints', 'objectSelector'], { matchLabels: { a: 'b' } }),
      'does not match every',
    ],
    [
      'where something is excluded',
      changed(policy, ['matchConstraints', 'excludeResourceRules'], [{}]),
      'does not match every',
    ],
    [
      'where creations do not count',
      changed(policy, ['matchConstraints', 'resourceRules', 0, 'operations'], ['UPDATE']),
      'does not match every',
    ],
    [
      'where it is for some names',
      changed(policy, ['matchConstraints', 'resourceRules', 0, 'resourceNames'], ['a']),
      'does not match every',
    ],
    [
      'where it is for other signers',
      changed(policy, ['matchConditions', 0, 'expression'], "object.spec.signerName in ['example.com/other']"),
      'is not for example.com/pods',
    ],
    [
      'where its condition is anything else',
      changed(policy, ['matchConditions', 0, 'expression'], "object.spec.signerName in ['example.com/pods'] && false"),
      'is not for example.com/pods',
    ],
    [
      'where its rule is another',
      changed(policy, ['validations', 0, 'expression'], 'true'),
      'does not have the validation',
    ],
    [
      'where it is about to go',
      { ...policy, metadata: { ...policy.metadata, deletionTimestamp: 'now' } },
      'is being deleted',
    ],
  ])('%s', (_what, other, why) => {
    expect(admissionObstacle(signer, other, binding)).toContain(why)
  })

  test.each<[string, AdmissionBinding | undefined, string]>([
    ['without a binding', undefined, 'there is no ValidatingAdmissionPolicyBinding'],
    ['where it only warns', changed(binding, ['validationActions'], ['Warn', 'Audit']), 'denies nothing'],
    ['where it is for another policy', changed(binding, ['policyName'], 'other'), 'binds another policy'],
    [
      'where it is for some namespaces',
      changed(binding, ['matchResources'], { namespaceSelector: { matchLabels: { a: 'b' } } }),
      'does not bind everywhere',
    ],
    [
      'where it leaves something out',
      changed(binding, ['matchResources'], { excludeResourceRules: [{}] }),
      'does not bind everywhere',
    ],
  ])('%s', (_what, other, why) => {
    expect(admissionObstacle(signer, policy, other)).toContain(why)
  })
})

test("the API server's defaults in the binding limit nothing", () => {
  const defaults = { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} }
  expect(admissionObstacle(signer, policy, changed(binding, ['matchResources'], defaults))).toBeUndefined()
})

test('a request counts only if it is younger than the rule', async () => {
  const { object } = podRequest()
  const obstacleAt = (created: string | undefined): Promise<string | undefined> => {
    const client = {
      get: async (resource: Resource) => {
        await Promise.resolve()
        if (created === undefined) throw new ApiError('GET', 404, {}, undefined)
        const found: KubernetesObject = resource.kind.endsWith('Binding') ? binding : policy
        return { ...found, metadata: { ...found.metadata, creationTimestamp: created } }
      },
    } as unknown as Pick<KubernetesClient, 'get'>
    return creatorObstacle(client, object, new AbortController().signal)
  }
  expect(await obstacleAt('2026-11-22T09:59:00Z')).toBeUndefined()
  expect(await obstacleAt('2026-11-22T10:00:00Z')).toContain('the request is older than the admission policy')
  expect(await obstacleAt(undefined)).toContain('there is no ValidatingAdmissionPolicy')
})
