import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { RequestDeniedError } from '../../src/issuer/errors.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode } from '../support/node.ts'
import { until } from '../support/until.ts'

// What the driver promises of what it costs (docs/promises.md, 14 and 15), on its socket. That RSA keys are made two at a time is in
// src/x509/key.test.ts, that a thousand denials are remembered in
// src/driver/denials.test.ts, that API calls in flight are bounded in src/kubernetes/stream-slots.test.ts, the watch in test/cluster.

const hour = 3600_000

describe('promise 14, event driven', () => {
  test('100 volumes that have their certificates have one timer, which sleeps an hour at most', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volumes = await Promise.all(Array.from({ length: 100 }, () => node.volume()))
    await Promise.all(volumes.map((volume) => node.publish(volume)))
    expect(clock.timers).toBe(1)
    expect(clock.next).toBe(hour)
  })

  test('while it waits for an answer nothing is looked at again: there is the timer of the call, and no other', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    node.issuer.script = 'hold'
    const publish = node.publish(await node.volume())
    await until('the request is there', () => node.issuer.requests.length > 0)
    expect(clock.timers).toBe(1)
    expect(clock.next).toBe(60_000)
    node.issuer.release()
    await publish
    expect(node.issuer.submissions).toBe(1)
  })

  test('a republish of a volume that has its certificate asks nobody', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    for (let count = 0; count < 20; count++) await node.publish(volume)
    expect(node.issuer.submissions).toBe(1)
    expect(node.events).toEqual([])
  })
})

describe('promise 15, bounded', () => {
  test('a message of more than four megabytes is refused, and the connection goes on', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    const huge = { ...volume, context: { ...volume.context, 'example.com/huge': 'x'.repeat(4 * 1024 * 1024) } }
    await expect(node.publish(huge)).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED })
    await node.publish(volume)
  })

  test('an answer is short, however much there is to say', async () => {
    await using node = await TestNode.start()
    node.issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'no! '.repeat(10_000)) }
    const error: unknown = await node.publish(await node.volume()).catch((reason: unknown) => reason)
    expect((error as { readonly details: string }).details.length).toBeLessThanOrEqual(4000)
  })

  test('attempts at a first certificate are ever farther apart, up to a minute and a half', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock, random: () => 0.999 })
    node.issuer.script = { wait: () => new Error('nobody knows') }
    await node.publish(await node.volume(), 100).catch(() => {})
    const pauses: number[] = []
    for (let attempt = 1; attempt <= 9; attempt++) {
      const pause = await until(
        'it waits for the next attempt',
        () => node.told('CertificateRequestFailed').length === attempt && clock.timers === 1 && clock.next,
      )
      pauses.push(pause)
      clock.advance(pause)
    }
    // A second, doubling to a minute, and up to half of it more by chance.
    expect(pauses.map((pause) => Math.round(pause / 1500))).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60])
  })
})
