import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Clock } from '../runtime/clock.ts'
import { checkAnswer } from '../x509/answer.ts'
import { createCertificateRequest } from '../x509/certificate-request.ts'
import { readCertificates } from '../x509/certificate.ts'
import { generateKeySync } from '../x509/key.ts'
import { buildSubject } from '../x509/name.ts'
import { hour, newKey, now, webNames } from '../x509/test-pki.ts'
import { IssuerUnavailableError, RequestFailedError, RequestGoneError } from './errors.ts'
import type { IssuanceRequest } from './issuer.ts'
import { createLocalCa } from './local-ca.ts'

const key = newKey()
const { signal } = new AbortController()

function request(id: string, part: Partial<IssuanceRequest> = {}): IssuanceRequest {
  return {
    id,
    volumeId: 'csi-1',
    pod: { namespace: 'sandbox', name: 'web', uid: 'u', serviceAccount: 'default' },
    issuer: { name: 'local', kind: 'Issuer', group: 'cert-manager.io' },
    csr: createCertificateRequest(key, { subject: buildSubject({ commonName: 'web' }), names: webNames }),
    usages: ['digital signature', 'server auth'],
    isCA: false,
    duration: hour,
    annotations: {},
    ...part,
  }
}

/** A clock that stands still, and whose timers fire when they are told to. */
function testClock(): Clock & { fireAll(): void; readonly pending: number } {
  const timers = new Set<() => void>()
  return {
    now: () => now,
    timer(_delay, fire) {
      timers.add(fire)
      return { cancel: () => void timers.delete(fire) }
    },
    fireAll() {
      for (const fire of timers) {
        timers.delete(fire)
        fire()
      }
    },
    get pending() {
      return timers.size
    },
  }
}

test.each([true, false])('what it signs passes the check of answers (intermediate: %s)', async (intermediate) => {
  const ca = createLocalCa({ clock: testClock(), intermediate })
  const answer = await ca.wait(await ca.submit(request('1'), signal), signal)
  const asked = { key, names: webNames, commonName: 'web', usages: request('1').usages, isCA: false, duration: hour }
  const { problems, warnings, chain } = checkAnswer(answer, asked, now)
  expect({ problems, warnings }).toEqual({ problems: [], warnings: [] })
  expect(chain).toHaveLength(intermediate ? 2 : 1)
  expect(answer.ca).toBe(ca.ca)
})

test('the CA that it shows is a root of its own each time', () => {
  const [first, second] = [1, 2].map(() =>
    readCertificates(createLocalCa({ clock: testClock(), commonName: 'try' }).ca),
  )
  expect(first?.map(({ subject, issuer }) => [subject, issuer])).toEqual([['CN=try', 'CN=try']])
  expect(second?.[0]?.fingerprint).not.toBe(first?.[0]?.fingerprint)
})

test('a request that is submitted twice is answered once', async () => {
  const ca = createLocalCa({ clock: testClock() })
  const first = await ca.submit(request('1'), signal)
  const answer = await ca.wait(first, signal)
  expect(await ca.submit(request('1'), signal)).toEqual(first)
  expect(await ca.wait(first, signal)).toBe(answer)
})

test('a lifetime is cut to the longest one', async () => {
  const ca = createLocalCa({ clock: testClock(), maxLifetime: 60_000 })
  const { chain } = await ca.wait(await ca.submit(request('1'), signal), signal)
  const [leaf] = readCertificates(chain)
  expect([leaf?.notBefore, leaf?.notAfter]).toEqual([now, now + 60_000])
})

test('being a CA is granted where it is asked for', async () => {
  const ca = createLocalCa({ clock: testClock() })
  const { chain } = await ca.wait(await ca.submit(request('1', { isCA: true }), signal), signal)
  expect(readCertificates(chain)[0]?.isCA).toBe(true)
})

describe('with a delay', () => {
  test('the request waits, says so, and is answered', async () => {
    const clock = testClock()
    const ca = createLocalCa({ clock, delay: 1000 })
    const handle = await ca.submit(request('1'), signal)
    const states: string[] = []
    const answers = [ca.wait(handle, signal, (state) => states.push(state)), ca.wait(handle, signal)]
    expect(states).toEqual(['waits for the local CA'])
    clock.fireAll()
    const [first, second] = await Promise.all(answers)
    expect(first).toBe(second)
  })

  test('who waits can stop, and the request goes on', async () => {
    const clock = testClock()
    const ca = createLocalCa({ clock, delay: 1000 })
    const handle = await ca.submit(request('1'), signal)
    const controller = new AbortController()
    const waiting = ca.wait(handle, controller.signal)
    controller.abort(new Error('unpublished'))
    await expect(waiting).rejects.toThrow('unpublished')
    clock.fireAll()
    await expect(ca.wait(handle, signal)).resolves.toBeDefined()
  })

  test('a request that is discarded ends its waiters and its timer', async () => {
    const clock = testClock()
    const ca = createLocalCa({ clock, delay: 1000 })
    const handle = await ca.submit(request('1'), signal)
    const waiting = ca.wait(handle, signal)
    await ca.discard(handle)
    await expect(waiting).rejects.toThrow(RequestGoneError)
    expect(clock.pending).toBe(0)
  })

  test('a bad request fails when its time has come', async () => {
    const clock = testClock()
    const ca = createLocalCa({ clock, delay: 1000 })
    const waiting = ca.wait(await ca.submit(request('1', { csr: 'x' }), signal), signal)
    clock.fireAll()
    await expect(waiting).rejects.toThrow(RequestFailedError)
  })
})

describe('a request fails', () => {
  const content = { subject: buildSubject({ commonName: 'web' }), names: webNames }
  const weak = createCertificateRequest(generateKeySync({ algorithm: 'RSA', size: 1024 }), content)

  test.each<[string, Partial<IssuanceRequest>, string]>([
    [
      'if it is no request',
      { csr: 'x' },
      'local request 1 failed: expected one PEM block CERTIFICATE REQUEST and nothing else, in lines of base64 alone',
    ],
    ['if its key is weak', { csr: weak }, 'local request 1 failed: RSA 1024 keys are too short'],
    [
      'if it asks for no time',
      { duration: 0 },
      'local request 1 failed: a certificate cannot end at 2026-11-22T10:00:00Z, before it begins',
    ],
  ])('%s', async (_name, part, message) => {
    const ca = createLocalCa({ clock: testClock() })
    const handle = await ca.submit(request('1', part), signal)
    await expect(ca.wait(handle, signal)).rejects.toThrow(new RequestFailedError('local request 1', message.slice(24)))
  })
})

describe('forgets', () => {
  test('what is discarded', async () => {
    const ca = createLocalCa({ clock: testClock() })
    const handle = await ca.submit(request('1'), signal)
    await ca.discard(handle)
    await ca.discard(handle)
    await expect(ca.wait(handle, signal)).rejects.toThrow(RequestGoneError)
  })

  test('the oldest answer when it is full', async () => {
    const ca = createLocalCa({ clock: testClock(), capacity: 2 })
    const handles = []
    for (const id of ['1', '2', '3']) handles.push(await ca.submit(request(id), signal))
    const outcomes = await Promise.allSettled(handles.map((handle) => ca.wait(handle, signal)))
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  })

  test('no request that waits: the next one is turned away', async () => {
    const clock = testClock()
    const ca = createLocalCa({ clock, delay: 1000, capacity: 1 })
    await ca.submit(request('1'), signal)
    await expect(ca.submit(request('2'), signal)).rejects.toThrow(IssuerUnavailableError)
    clock.fireAll()
    await expect(ca.submit(request('2'), signal)).resolves.toBeDefined()
  })
})

test('an aborted signal stops before anything is done', async () => {
  const ca = createLocalCa({ clock: testClock() })
  const aborted = AbortSignal.abort(new Error('stopped'))
  await expect(ca.submit(request('1'), aborted)).rejects.toThrow('stopped')
  await expect(ca.wait({ id: '1', name: 'local request 1', reference: {} }, aborted)).rejects.toThrow('stopped')
})

test('whatever the order of calls, each wait ends once nothing is pending', async () => {
  const step = fc.record({
    call: fc.constantFrom('submit', 'wait', 'discard', 'fire', 'abort'),
    id: fc.constantFrom('1', '2', '3'),
  })
  const { csr } = request('0')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const clock = testClock()
      const ca = createLocalCa({ clock, delay: 1000, capacity: 2, intermediate: false })
      const controllers = new Map<string, AbortController>()
      const submits: Promise<unknown>[] = []
      const waits: Promise<unknown>[] = []
      for (const { call, id } of steps) {
        const handle = { id, name: `local request ${id}`, reference: {} }
        const controller = controllers.get(id) ?? new AbortController()
        controllers.set(id, controller)
        if (call === 'submit') submits.push(ca.submit(request(id, { csr }), signal))
        if (call === 'wait') waits.push(ca.wait(handle, controller.signal))
        if (call === 'fire') clock.fireAll()
        if (call === 'discard') await ca.discard(handle)
        if (call === 'abort') controller.abort(new DOMException('unpublished', 'AbortError'))
      }
      clock.fireAll()
      expect(clock.pending).toBe(0)
      expect(['IssuerUnavailableError']).toEqual(expect.arrayContaining(await errorNames(submits)))
      expect(['AbortError', 'RequestGoneError']).toEqual(expect.arrayContaining(await errorNames(waits)))
    }),
    { numRuns: 50 },
  )
})

async function errorNames(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const outcomes = await Promise.allSettled(promises)
  return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [(outcome.reason as Error).name] : []))
}
