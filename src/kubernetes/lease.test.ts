import { once } from 'node:events'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ApiError, ConnectionError } from './errors.ts'
import { ManualClock } from './fixtures/manual-clock.ts'
import { LeaseLostError, type LeaseOptions, runAsLeader } from './lease.ts'
import type { KubernetesObject, Lease } from './object.ts'

/** What becomes of one request: how long until the server acts on it and how long until the answer is there; -1 for never. */
interface Fate {
  readonly acted: number
  readonly answered: number
}

const prompt: Fate = { acted: 0, answered: 0 }
const lost: Fate = { acted: -1, answered: -1 }

/** A server that keeps one Lease, with optimistic concurrency, behind a network that is as bad as a test wants. */
class LeaseServer {
  lease: Lease | undefined
  #version = 0
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  /** A client whose requests meet the fates that `next` gives. */
  client(next: () => Fate): LeaseOptions['client'] {
    const request = <T>(act: () => KubernetesObject, signal?: AbortSignal, timeout = 30_000): Promise<T> =>
      new Promise((resolve, reject) => {
        const fate = next()
        const limit = this.#clock.timer(timeout, () => reject(new ConnectionError('no answer in time', 'unknown')))
        const abort = (): void => reject(signal?.reason as Error)
        if (signal?.aborted) abort()
        signal?.addEventListener('abort', abort, { once: true })
        if (fate.acted < 0) return
        this.#after(fate.acted, () => {
          let answer: () => void
          try {
            const result = act()
            answer = () => resolve(result as T)
          } catch (error) {
            answer = () => reject(error)
          }
          if (fate.answered < 0) return
          this.#after(fate.answered, () => {
            limit.cancel()
            answer()
          })
        })
      })
    return {
      get: (_resource, _name, options) => request(() => this.#read(), options?.signal, options?.timeout),
      create: (_resource, object, options) => request(() => this.#create(object), options?.signal, options?.timeout),
      update: (_resource, object, options) => request(() => this.#update(object), options?.signal, options?.timeout),
    }
  }

  #after(delay: number, act: () => void): void {
    if (delay === 0) queueMicrotask(act)
    else this.#clock.timer(delay, act)
  }

  #read(): Lease {
    if (this.lease === undefined) throw new ApiError('GET', 404, { reason: 'NotFound' }, undefined)
    return this.lease
  }

  #create(object: KubernetesObject): Lease {
    if (this.lease !== undefined) throw new ApiError('POST', 409, { reason: 'AlreadyExists' }, undefined)
    return this.#store(object)
  }

  #update(object: KubernetesObject): Lease {
    if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) {
      throw new ApiError('PUT', 409, { reason: 'Conflict' }, undefined)
    }
    return this.#store(object)
  }

  #store(object: KubernetesObject): Lease {
    this.#version += 1
    this.lease = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } }
    return this.lease
  }
}

interface Candidate {
  readonly ended: Promise<unknown>
  readonly stop: () => void
}

/** Lets a candidate stand. It works until it is told to stop, then for another `slow` milliseconds. */
function stand(
  identity: string,
  clock: ManualClock,
  client: LeaseOptions['client'],
  leaders: Set<string>,
  more: Partial<LeaseOptions> = {},
): Candidate {
  const stopping = new AbortController()
  const work = async (leading: AbortSignal): Promise<void> => {
    leaders.add(identity)
    if (!leading.aborted) await once(leading, 'abort')
    leaders.delete(identity)
  }
  const options = { client, clock, identity, lease: { namespace: 'a', name: 'b' }, random: () => 0.5, ...more }
  const ended = runAsLeader(options, work, stopping.signal).catch((error: unknown) => error)
  return { ended, stop: () => stopping.abort(new Error('stopped')) }
}

test('the first candidate leads, the second when the first has given the lease back', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const leaders = new Set<string>()
  const holders: string[] = []
  const one = stand(
    'one',
    clock,
    server.client(() => prompt),
    leaders,
  )
  await clock.advance(10)
  const two = stand(
    'two',
    clock,
    server.client(() => prompt),
    leaders,
    { onHolder: (holder) => void holders.push(holder) },
  )
  await clock.advance(60_000)
  expect([...leaders]).toEqual(['one'])
  one.stop()
  expect(await one.ended).toBeUndefined()
  expect(server.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 0 })
  await clock.advance(5_000)
  expect([...leaders]).toEqual(['two'])
  expect(holders).toEqual(['one', '', 'two'])
  expect(server.lease?.spec).toMatchObject({ holderIdentity: 'two', leaseDurationSeconds: 15, leaseTransitions: 1 })
  two.stop()
  await two.ended
})

test('a leader that cannot renew gives up after ten seconds, and another leads no sooner than after fifteen', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const leaders = new Set<string>()
  let fate = prompt
  const one = stand(
    'one',
    clock,
    server.client(() => fate),
    leaders,
  )
  await clock.advance(100)
  stand(
    'two',
    clock,
    server.client(() => prompt),
    leaders,
  )
  await clock.advance(30_000)
  fate = lost
  const since = clock.now()
  while (leaders.has('one')) await clock.advance(10)
  expect(clock.now() - since).toBeLessThanOrEqual(10_000)
  expect(await one.ended).toBeInstanceOf(LeaseLostError)
  expect([...leaders]).toEqual([])
  while (!leaders.has('two')) await clock.advance(10)
  expect(clock.now() - since).toBeGreaterThan(12_000)
})

test('a record in which time stands still is judged by the local clock alone', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const renewTime = '2001-01-01T00:00:00.000000Z'
  const spec = {
    holderIdentity: 'dead',
    leaseDurationSeconds: 20,
    renewTime,
    acquireTime: renewTime,
    leaseTransitions: 4,
  }
  server.lease = { metadata: { namespace: 'a', name: 'b', resourceVersion: 'first' }, spec }
  const leaders = new Set<string>()
  const one = stand(
    'one',
    clock,
    server.client(() => prompt),
    leaders,
  )
  await clock.advance(19_900)
  expect([...leaders]).toEqual([])
  await clock.advance(5_000)
  expect([...leaders]).toEqual(['one'])
  expect(server.lease?.spec).toMatchObject({ leaseTransitions: 5 })
  one.stop()
  await one.ended
})

test('a candidate that starts again under its old name leads at once', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const acquireTime = '2026-01-01T00:00:00.000000Z'
  const spec = {
    holderIdentity: 'one',
    leaseDurationSeconds: 15,
    acquireTime,
    renewTime: acquireTime,
    leaseTransitions: 4,
  }
  server.lease = { metadata: { namespace: 'a', name: 'b', resourceVersion: 'first' }, spec }
  const leaders = new Set<string>()
  const one = stand(
    'one',
    clock,
    server.client(() => prompt),
    leaders,
  )
  await clock.advance(10)
  expect([...leaders]).toEqual(['one'])
  expect(server.lease?.spec).toMatchObject({ leaseTransitions: 4, acquireTime })
  one.stop()
  await one.ended
})

test('the lease is given back after the work has ended, not before', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const finish = Promise.withResolvers<void>()
  const stopping = new AbortController()
  const client = server.client(() => prompt)
  const lease = { namespace: 'a', name: 'b' }
  const running = runAsLeader({ client, clock, lease, identity: 'one' }, () => finish.promise, stopping.signal)
  await clock.advance(100)
  stopping.abort(new Error('stopped'))
  await clock.advance(60_000)
  expect(server.lease?.spec?.holderIdentity).toBe('one')
  finish.resolve()
  await running
  expect(server.lease?.spec?.holderIdentity).toBe('')
})

test('work that fails ends the candidacy with its error, and gives the lease back', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const options = { client: server.client(() => prompt), clock, lease: { namespace: 'a', name: 'b' }, identity: 'one' }
  const running = runAsLeader(options, () => Promise.reject(new Error('oops')), new AbortController().signal)
  await expect(running).rejects.toThrow('oops')
  expect(server.lease?.spec?.holderIdentity).toBe('')
})

test('who stops while waiting ends with the reason, and has touched nothing', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const leaders = new Set<string>()
  stand(
    'one',
    clock,
    server.client(() => prompt),
    leaders,
  )
  await clock.advance(10)
  const two = stand(
    'two',
    clock,
    server.client(() => prompt),
    leaders,
  )
  await clock.advance(10_000)
  two.stop()
  expect(await two.ended).toMatchObject({ message: 'stopped' })
  expect(server.lease?.spec?.holderIdentity).toBe('one')
})

test('a leader counts from when it asked, because others count from when the server wrote', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const leaders = new Set<string>()
  let fate = prompt
  const one = stand(
    'one',
    clock,
    server.client(() => fate),
    leaders,
  )
  await clock.advance(100)
  const written = server.lease
  fate = { acted: 0, answered: 4_000 }
  while (server.lease === written) await clock.advance(10)
  const asked = clock.now()
  fate = lost
  while (leaders.has('one')) await clock.advance(10)
  expect(clock.now() - asked).toBeLessThanOrEqual(10_010)
  expect(await one.ended).toBeInstanceOf(LeaseLostError)
})

test('a leader whose record somebody else has touched reads it again and goes on', async () => {
  const clock = new ManualClock()
  const server = new LeaseServer(clock)
  const leaders = new Set<string>()
  const one = stand(
    'one',
    clock,
    server.client(() => prompt),
    leaders,
  )
  await clock.advance(100)
  const touched = server.lease
  server.lease = { ...touched, metadata: { ...touched?.metadata, resourceVersion: 'touched', labels: { a: 'b' } } }
  await clock.advance(60_000)
  expect([...leaders]).toEqual(['one'])
  expect(server.lease.metadata.labels).toEqual({ a: 'b' })
  one.stop()
  await one.ended
})

test('periods that could leave two leaders are refused', async () => {
  const clock = new ManualClock()
  const client = new LeaseServer(clock).client(() => prompt)
  for (const wrong of [{ renewDeadline: 15_000 }, { retryPeriod: 9_000 }, { leaseDuration: 5_000 }]) {
    const options = { client, clock, lease: { namespace: 'a', name: 'b' }, identity: 'one', ...wrong }
    await expect(runAsLeader(options, async () => {}, new AbortController().signal)).rejects.toThrow(RangeError)
  }
})

test('there are never two leaders, however the network treats their requests, and always one again afterwards', async () => {
  const delay = fc.oneof(fc.constant(0), fc.nat(3_000), fc.constant(-1), fc.nat(30_000))
  const fate = fc.record({ acted: delay, answered: delay })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fate, { minLength: 5, maxLength: 40 }), { minLength: 2, maxLength: 3 }),
      async (plans) => {
        const clock = new ManualClock()
        const server = new LeaseServer(clock)
        const leaders = new Set<string>()
        const most = { leaders: 0 }
        const candidates = new Map<string, Candidate>()
        const isOver = { plan: false }
        for (const [index, plan] of plans.entries()) {
          const identity = `candidate-${index}`
          const client = server.client(() => (isOver.plan ? prompt : (plan.shift() ?? prompt)))
          const restart = (): void => {
            const candidate = stand(identity, clock, client, leaders)
            candidates.set(identity, candidate)
            void candidate.ended.then((reason) => {
              if (reason instanceof LeaseLostError) restart()
            })
          }
          restart()
        }
        for (let step = 0; step < 400; step += 1) {
          await clock.advance(500)
          most.leaders = Math.max(most.leaders, leaders.size)
        }
        isOver.plan = true
        await clock.advance(120_000)
        expect(most.leaders).toBeLessThanOrEqual(1)
        expect(leaders.size).toBe(1)
        for (const candidate of candidates.values()) candidate.stop()
        await clock.advance(60_000)
      },
    ),
    { numRuns: 25 },
  )
}, 60_000)
