import { status as statuses } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { type CallTrouble, callAdvice } from './call-advice.ts'
import { svidAuthority, testIdentity } from './fixtures/svid.ts'

const identity = testIdentity(svidAuthority(), 'spiffe://example.org/ns/spire/sa/registrar')

const trouble = (changes: Partial<CallTrouble>): CallTrouble => ({
  status: statuses.UNAVAILABLE,
  details: '',
  by: 'tcp',
  trustDomain: 'example.org',
  identity,
  now: Date.now(),
  ...changes,
})

describe('a caller without rights', () => {
  test.each(['PERMISSION_DENIED', 'UNAUTHENTICATED'] as const)('is told the missing command for %s', (name) => {
    expect(callAdvice(trouble({ status: statuses[name] }))).toContain(
      'spire-server entry create -admin -spiffeID spiffe://example.org/ns/spire/sa/registrar -parentID AGENT_ID ' +
        '-selector k8s:ns:NAMESPACE -selector k8s:sa:SERVICE_ACCOUNT .',
    )
  })

  test('gets no such advice over the socket, where everybody has them', () => {
    expect(callAdvice(trouble({ status: statuses.PERMISSION_DENIED, by: 'socket', identity: undefined }))).toBe(
      undefined,
    )
  })
})

describe('a connection that cannot be made', () => {
  test.each<readonly [string, Partial<CallTrouble>, RegExp]>([
    ['no socket', { by: 'socket', details: 'connect ENOENT /run/api.sock' }, /folder mounted/],
    ['nobody behind the socket', { by: 'socket', details: 'connect ECONNREFUSED /run/api.sock' }, /server running/],
    ['a forbidden socket', { by: 'socket', details: 'connect EACCES /run/api.sock' }, /another user/],
    ['a foreign server', { details: 'unable to verify the first certificate' }, /bundle of example\.org/],
    ['a foreign CA', { details: 'self-signed certificate in certificate chain' }, /bundle of example\.org/],
    ['an SVID that has ended', { now: Date.now() + 1e10, details: 'alert bad certificate' }, /own SVID has expired/],
  ])('%s', (_, changes, advice) => {
    expect(callAdvice(trouble(changes))).toMatch(advice)
  })

  test('for a reason of which nothing more is known has the words of the reason only', () => {
    expect(callAdvice(trouble({ details: 'connect ECONNREFUSED 10.0.0.1:8081' }))).toBe(undefined)
  })
})

test.each(['socket', 'tcp'] as const)('what answers over %s and is no SPIRE server is called so', (by) => {
  expect(callAdvice(trouble({ status: statuses.UNIMPLEMENTED, by }))).toContain('not')
})
