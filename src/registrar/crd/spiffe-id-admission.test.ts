import { describe, expect, test } from 'vitest'
import type { AdmissionRequest } from '../webhook/admission-review.ts'
import { goodSpec, rules, serverId } from './fixtures/spiffe-ids.ts'
import { spiffeIdAdmission } from './spiffe-id-admission.ts'

const duplicate = { reason: 'Duplicate', message: 'Duplicate detected: SpiffeID shop/b has the same' }
const handler = spiffeIdAdmission({
  rules: rules(),
  duplicate: (_who, { spiffeId }) => (spiffeId.endsWith('/twin') ? duplicate : undefined),
})
const never = new AbortController().signal
const bad = goodSpec({ selector: { namespace: 'bank' } })

function request(spec: unknown, changes: Partial<AdmissionRequest> = {}): AdmissionRequest {
  return {
    uid: 'review-1',
    kind: { group: 'spiffeid.spiffe.io', version: 'v1beta1', kind: 'SpiffeID' },
    subResource: '',
    namespace: 'shop',
    name: 'a',
    operation: 'CREATE',
    dryRun: false,
    object: { metadata: { name: 'a' }, spec },
    oldObject: undefined,
    ...changes,
  }
}

test('a SpiffeID that breaks no rule is allowed', async () => {
  expect(await handler(request(goodSpec()), never)).toEqual({ allowed: true })
})

test('one that breaks a rule is refused in the words of the former registrar', async () => {
  expect(await handler(request(bad), never)).toEqual({
    allowed: false,
    message: 'spec.Selector.Namespace must match namespace of resource',
  })
})

test('everything that is wrong is told at once', async () => {
  const { message } = await handler(request({ ...bad, parentId: 'x', spiffeId: 'y' }), never)
  expect(message).toBe(
    'spec.parentId must begin with spiffe://example.org; spec.spiffeId must begin with spiffe://example.org; spec.Selector.Namespace must match namespace of resource',
  )
})

test('one that cannot be read is refused', async () => {
  expect(await handler(request({ spiffeId: 1 }), never)).toMatchObject({ allowed: false })
  expect(await handler(request(undefined, { object: null }), never)).toEqual({
    allowed: false,
    message: 'spec is missing',
  })
})

test('one that asks for what another one has is refused', async () => {
  const twin = goodSpec({ spiffeId: 'spiffe://example.org/twin' })
  expect(await handler(request(twin), never)).toEqual({ allowed: false, message: duplicate.message })
})

describe('an update', () => {
  const update = (spec: unknown, before: unknown, metadata: object = {}): AdmissionRequest =>
    request(spec, { operation: 'UPDATE', object: { metadata, spec }, oldObject: { metadata: {}, spec: before } })

  test('is held to the same rules', async () => {
    expect((await handler(update(bad, goodSpec()), never)).allowed).toBe(false)
    expect((await handler(update(goodSpec(), bad), never)).allowed).toBe(true)
  })

  test('of one that broke a rule before is allowed where its spec stays, so that it can be deleted', async () => {
    expect((await handler(update(bad, bad), never)).allowed).toBe(true)
    const ending = { deletionTimestamp: '2026-11-22T10:00:00Z' }
    expect((await handler(update(bad, goodSpec(), ending), never)).allowed).toBe(true)
  })
})

test.each<[string, Partial<AdmissionRequest>]>([
  ['a deletion', { operation: 'DELETE', object: undefined }],
  ['a status', { operation: 'UPDATE', subResource: 'status' }],
  ['another kind', { kind: { group: '', version: 'v1', kind: 'Pod' } }],
])('%s is always allowed', async (_what, changes) => {
  const spec = goodSpec({ parentId: serverId })
  expect(await handler(request(spec, changes), never)).toEqual({ allowed: true })
})
