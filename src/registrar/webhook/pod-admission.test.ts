import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import type { Pod } from '../../kubernetes/object.ts'
import { silentLog } from '../../runtime/log.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { podAdmission, type PodAdmissionOptions, type Registration, RegistrationError } from './pod-admission.ts'

const never = new AbortController().signal
const web: Pod = { metadata: { namespace: 'shop', name: 'web-0', uid: 'u1' }, spec: { serviceAccountName: 'web' } }

function request(changes: Partial<AdmissionRequest> = {}): AdmissionRequest {
  return {
    uid: 'review-1',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    subResource: '',
    namespace: 'shop',
    name: 'web-0',
    operation: 'CREATE',
    dryRun: false,
    object: web,
    oldObject: undefined,
    ...changes,
  }
}

function admission(registration: Registration | Error, changes: Partial<PodAdmissionOptions> = {}) {
  const registered: Pod[] = []
  const handler = podAdmission({
    disabledNamespaces: ['kube-system'],
    failClosed: false,
    budget: 2000,
    register: async (pod) => {
      registered.push(pod)
      if (registration instanceof Error) throw registration
      return registration
    },
    clock: new ManualClock(),
    log: silentLog,
    ...changes,
  })
  return { handler, registered }
}

test('a pod that is created gets its entry before it is allowed', async () => {
  const { handler, registered } = admission({ is: 'registered' })
  expect(await handler(request(), never)).toEqual({ allowed: true })
  expect(registered).toEqual([web])
})

test("a pod without a namespace of its own is the review's", async () => {
  const { handler, registered } = admission({ is: 'registered' })
  await handler(request({ object: { metadata: { name: 'web-0', uid: 'u1' } } }), never)
  expect(registered[0]?.metadata.namespace).toBe('shop')
})

test.each<[string, Partial<AdmissionRequest>]>([
  ['a disabled namespace', { namespace: 'kube-system' }],
  ['another kind', { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } }],
  ['a pod of another API', { kind: { group: 'metrics.k8s.io', version: 'v1', kind: 'Pod' } }],
  ['a subresource of a pod', { subResource: 'eviction' }],
  ['a request that says nothing', { kind: { group: '', version: '', kind: '' }, object: undefined, operation: '' }],
  ['an update', { operation: 'UPDATE' }],
  ['a delete, which the watch will tell', { operation: 'DELETE', object: undefined, oldObject: web }],
  ['a dry run', { dryRun: true }],
])('%s is allowed and nothing is done', async (_what, changes) => {
  const { handler, registered } = admission(new Error('must not be asked'), { failClosed: true })
  expect(await handler(request(changes), never)).toEqual({ allowed: true })
  expect(registered).toEqual([])
})

test('a pod that gets no entry is allowed without a word', async () => {
  const { handler } = admission({ is: 'none' }, { failClosed: true })
  expect(await handler(request(), never)).toEqual({ allowed: true })
})

test.each<[string, Registration | Error]>([
  ['trouble with SPIRE', new Error('SPIRE is down')],
  ['a problem of the pod', { is: 'problem', problem: 'SPIRE is down' }],
])('%s allows the pod, with a warning for whoever made it', async (_what, trouble) => {
  const { handler } = admission(trouble)
  expect(await handler(request(), never)).toEqual({
    allowed: true,
    warnings: ['the pod has no SPIRE identity yet: SPIRE is down'],
  })
})

test('with fail_closed, trouble is the error of the review', async () => {
  const { handler } = admission(new Error('SPIRE is down'), { failClosed: true })
  await expect(handler(request(), never)).rejects.toThrow(RegistrationError)
  await expect(handler(request(), never)).rejects.toThrow('pod shop/web-0 has no SPIRE entry: SPIRE is down')
})

test('a pod waits no longer than the budget', async () => {
  const clock = new ManualClock()
  const waiting = Promise.withResolvers<void>()
  const { handler } = admission(new Error('unused'), {
    clock,
    register: (_pod, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
        waiting.resolve()
      }),
  })
  const answer = handler(request(), never)
  await waiting.promise
  clock.advance(2000)
  expect(await answer).toEqual({
    allowed: true,
    warnings: ['the pod has no SPIRE identity yet: SPIRE did not answer within 2s'],
  })
  expect(clock.timers).toBe(0)
})

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['no metadata', { spec: {} }],
  ['no name', { metadata: { generateName: 'web-', uid: 'u1' } }],
  ['no UID', { metadata: { name: 'web-0' } }],
  ['a name that is no text', { metadata: { name: 7, uid: 'u1' } }],
])('a pod with %s is allowed with a warning', async (_what, object) => {
  const { handler, registered } = admission({ is: 'registered' })
  expect(await handler(request({ object }), never)).toEqual({
    allowed: true,
    warnings: ['the pod has no SPIRE identity yet: the review holds no pod with a name and a UID'],
  })
  expect(registered).toEqual([])
})
