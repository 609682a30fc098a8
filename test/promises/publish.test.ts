import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { IssuerRefusedError } from '../../src/issuer/errors.ts'
import { TestNode } from '../support/node.ts'
import { until } from '../support/until.ts'

// What the driver promises of waiting (docs/promises.md, 7), on its socket.

describe('promise 7, publish never blocks what it need not', () => {
  test('after the timeout the answer is UNAVAILABLE with the request and its state; the work goes on, and a retry finds it done', async () => {
    await using node = await TestNode.start({ publishTimeout: 1000 })
    node.issuer.script = 'hold'
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(/local request [0-9a-f]{32}: held by the test/) as string,
    })
    node.issuer.release()
    await until('the certificate is there', () => node.driver.inspect()[0]?.issued)
    await node.publish(volume)
    expect(node.issuer.requests).toHaveLength(1)
  })

  test('a caller with less time is answered before it gives up, with the same text', async () => {
    await using node = await TestNode.start()
    node.issuer.script = 'hold'
    const volume = await node.volume()
    // Five seconds are kept for the answer, so this one waits for one.
    await expect(node.publish(volume, 6000)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(/not issued yet \(no answer yet\): local request [0-9a-f]{32}: held/) as string,
    })
  })

  test('a caller that gives up does not stop the issuance, and the next one finds it done', async () => {
    await using node = await TestNode.start()
    node.issuer.script = 'hold'
    const volume = await node.volume()
    await expect(node.publish(volume, 100)).rejects.toMatchObject({ code: expect.any(Number) as number })
    node.issuer.release()
    await node.publish(volume)
    expect(node.issuer.requests).toHaveLength(1)
  })

  test('an issuer that refuses the driver is told at once, and asked again', async () => {
    await using node = await TestNode.start()
    node.issuer.script = { submit: () => new IssuerRefusedError('certificaterequests is forbidden') }
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: 'certificaterequests is forbidden',
    })
    node.issuer.release()
    await node.publish(volume)
  })

  test('a stop answers waiting calls at once', async () => {
    await using node = await TestNode.start()
    node.issuer.script = 'hold'
    const volumes = await Promise.all(Array.from({ length: 10 }, () => node.volume()))
    const answers = Promise.allSettled(volumes.map((volume) => node.publish(volume)))
    await until('the requests are there', () => node.issuer.requests.length === volumes.length)
    await node.driver.close()
    const stopped = { code: status.UNAVAILABLE, details: 'the driver is stopping' }
    expect(await answers).toEqual(
      volumes.map(() => expect.objectContaining({ reason: expect.objectContaining(stopped) as unknown }) as unknown),
    )
  })

  test('300 volumes that are never approved do not delay the 301st', async () => {
    await using node = await TestNode.start()
    node.issuer.script = 'hold'
    const waiting = await Promise.all(Array.from({ length: 300 }, () => node.volume()))
    for (const volume of waiting) node.publish(volume).catch(() => {})
    await until('all requests are there', () => node.issuer.requests.length === 300)
    node.issuer.script = 'sign'
    const last = await node.volume()
    await node.publish(last)
    expect(node.driver.inspect().filter(({ issued }) => issued !== undefined)).toHaveLength(1)
  })
})
