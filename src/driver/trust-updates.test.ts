import { expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import type { Issuer, RequestHandle, TrustBundle } from '../issuer/issuer.ts'
import { settled } from '../kubernetes/fixtures/manual-clock.ts'
import { silentLog } from '../runtime/log.ts'
import { TrustUpdates } from './trust-updates.ts'

const handle: RequestHandle = { id: '1', name: 'request 1', reference: {} }

/** Updates of one volume, with what the issuer was asked for and what was written. */
function updatesOf(trust: Issuer['trust'], apply: (ca: string) => Promise<void> = async () => {}) {
  const clock = new ManualClock()
  const applied: string[] = []
  const updates = new TrustUpdates({
    issuer: () => ({ trust }) as Issuer,
    apply: async (ca) => {
      await apply(ca)
      applied.push(ca)
    },
    random: () => 0,
    clock,
    log: silentLog,
  })
  return { clock, applied, updates }
}

/** Tells of some bundles, then waits for the end of the signal. */
function telling(...bundles: readonly string[]): NonNullable<Issuer['trust']> {
  return async function* (_handle, signal): AsyncGenerator<TrustBundle> {
    for (const ca of bundles) yield { ca }
    if (signal.aborted) return
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  }
}

test('what an issuer tells is written, in its order', async () => {
  const { applied, updates } = updatesOf(telling('one', 'two'))
  updates.follow(handle)
  await settled()
  expect(applied).toEqual(['one', 'two'])
  await updates.close()
})

test('an issuer whose trust comes with certificates is left alone', async () => {
  const { applied, updates, clock } = updatesOf(undefined)
  updates.follow(handle)
  await updates.close()
  expect(applied).toEqual([])
  expect(clock.timers).toBe(0)
})

test('a new certificate is followed in the place of the one before, and told the present trust again', async () => {
  const asked: string[] = []
  const ended: string[] = []
  const { applied, updates } = updatesOf(async function* (followed, signal) {
    asked.push(followed.id)
    yield* telling('now')(followed, signal) as AsyncGenerator<TrustBundle>
    ended.push(followed.id)
  })
  updates.follow(handle)
  await settled()
  updates.follow({ ...handle, id: '2' })
  await settled()
  expect([asked, ended, applied]).toEqual([['1', '2'], ['1'], ['now', 'now']])
  await updates.close()
  expect(ended).toEqual(['1', '2'])
})

test('what cannot be written is tried again, later each time, and no more once it is closed', async () => {
  let attempts = 0
  const { applied, updates, clock } = updatesOf(telling('now'), async () => {
    attempts += 1
    if (attempts < 4) throw new Error('no memory')
  })
  updates.follow(handle)
  const waits: (number | undefined)[] = []
  for (let look = 0; look < 3; look++) {
    await settled()
    waits.push(clock.next)
    clock.advance(clock.next ?? 0)
  }
  await settled()
  expect(waits).toEqual([1000, 2000, 4000])
  expect(applied).toEqual(['now'])
  await updates.close()
})

test('who closes it waits for what is being written', async () => {
  const writing = Promise.withResolvers<void>()
  const { applied, updates } = updatesOf(telling('now'), () => writing.promise)
  updates.follow(handle)
  await settled()
  const closed = updates.close().then(() => applied.push('closed'))
  await settled()
  expect(applied).toEqual([])
  writing.resolve()
  await closed
  expect(applied).toEqual(['now', 'closed'])
})

test('after a success, waits begin anew', async () => {
  const failing = new Set(['one', 'three'])
  const { applied, updates, clock } = updatesOf(telling('one', 'two', 'three'), async (ca) => {
    if (failing.delete(ca)) throw new Error('not now')
  })
  updates.follow(handle)
  for (const wait of [1000, 1000]) {
    await settled()
    expect(clock.next).toBe(wait)
    clock.advance(wait)
  }
  await settled()
  expect(applied).toEqual(['one', 'two', 'one', 'two', 'three'])
  await updates.close()
})

test('two are never written at the same time', async () => {
  const first = Promise.withResolvers<void>()
  let writing = 0
  const { applied, updates } = updatesOf(telling('now'), async () => {
    writing += 1
    expect(writing).toBe(1)
    await first.promise
    writing -= 1
  })
  updates.follow(handle)
  await settled()
  updates.follow({ ...handle, id: '2' })
  await settled()
  expect(writing).toBe(1)
  first.resolve()
  await settled()
  expect(applied).toEqual(['now', 'now'])
  await updates.close()
})
