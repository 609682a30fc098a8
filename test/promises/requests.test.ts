import { readdir } from 'node:fs/promises'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { IssuerUnavailableError, RequestDeniedError, RequestFailedError } from '../../src/issuer/errors.ts'
import { privateDirectory } from '../../src/volume/private-directory.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode } from '../support/node.ts'
import { until } from '../support/until.ts'

// What the driver promises of its requests (docs/promises.md, 9 and 11), on its socket. What it does to those in the API server is in
// test/cluster/certificate-requests.test.ts.

const minute = 60_000
const hour = 60 * minute

describe('promise 9, requests are ours or not touched', () => {
  test('a request is named by 128 random bits and stored with its key before the issuer hears of it', async () => {
    await using node = await TestNode.start()
    node.issuer.script = { submit: () => new IssuerUnavailableError('looking') }
    const volume = await node.volume()
    const publish = node.publish(volume, 500)
    publish.catch(() => {})
    const stored = await until('it is stored', async () => {
      const text = await node.stored()
      return text.includes('PRIVATE KEY') && text.includes('"request":') && text
    })
    expect(stored).toMatch(/"id":"[0-9a-f]{32}"/)
    expect(node.issuer.requests).toEqual([])
    await expect(publish).rejects.toMatchObject({ code: expect.any(Number) as number })
  })

  test('a renewed volume has its old request discarded, and keeps the new one until its unpublish', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    clock.advance(700 * hour)
    await until('the old one is discarded', () => node.issuer.discarded.length > 0)
    const [old, current] = node.issuer.requests.map(({ id }) => id)
    expect(node.issuer.discarded).toEqual([old])
    expect(node.driver.isNeeded(volume.id, current ?? '')).toBe(true)
    expect(node.driver.isNeeded(volume.id, old ?? '')).toBe(false)
    await node.unpublish(volume)
    await until('the new one is discarded', () => node.issuer.discarded.length === 2)
    expect(node.driver.isNeeded(volume.id, current ?? '')).toBe(false)
  })

  test('a renewal that waits for its next attempt keeps its request, also after a restart', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    node.issuer.script = { wait: () => new IssuerUnavailableError('the connection was lost') }
    clock.advance(700 * hour)
    await until('it failed', () => node.told('RenewalFailed')[0])
    await until('it waits', () => node.driver.inspect()[0]?.state === 'issued')
    const request = node.issuer.requests[1]?.id ?? ''
    expect(node.driver.isNeeded(volume.id, request)).toBe(true)
    await node.stopDriver()
    node.issuer.release()
    await node.startDriver()
    expect(node.driver.isNeeded(volume.id, request)).toBe(true)
    clock.advance(0)
    await until('it is renewed', () => node.issuer.discarded.length > 0)
    expect(node.issuer.requests).toHaveLength(2)
  })
})

describe('promise 11, a denial is no hot loop', () => {
  test.each([
    ['denial', 'was denied: not on my watch', (name: string) => new RequestDeniedError(name, 'not on my watch')],
    ['failure', 'failed: no such issuer', (name: string) => new RequestFailedError(name, 'no such issuer')],
  ])('20 publishes after a %s make one request, and each answers the same text', async (_what, text, error) => {
    await using node = await TestNode.start()
    node.issuer.script = { wait: ({ name }) => error(name) }
    const volume = await node.volume()
    for (let attempt = 0; attempt < 20; attempt++) {
      await expect(node.publish(volume)).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
        details: expect.stringContaining(text) as string,
      })
    }
    expect(node.issuer.requests).toHaveLength(1)
    expect(await readdir(node.volumesFolder)).toEqual([])
    // The request stays for people to look at, and goes with the volume.
    const [request] = node.issuer.requests
    expect(node.issuer.discarded).toEqual([])
    expect(node.driver.isNeeded(volume.id, request?.id ?? '')).toBe(true)
    await node.unpublish(volume)
    expect(node.issuer.discarded).toEqual([request?.id])
  })

  test('the wait doubles from a minute to an hour, and the answer says when it ends', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    node.issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'no') }
    const volume = await node.volume()
    const publish = async (): Promise<string> => {
      const error: unknown = await node.publish(volume).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: status.FAILED_PRECONDITION })
      return (error as { readonly details: string }).details
    }
    await publish()
    for (const [count, wait] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
      clock.advance(wait * minute - 1)
      expect(await publish()).toContain(
        `a new request is made at ${new Date(clock.now() + 1).toISOString()} at the earliest`,
      )
      expect(node.issuer.requests).toHaveLength(count + 1)
      clock.advance(1)
      await publish()
      expect(node.issuer.requests).toHaveLength(count + 2)
    }
  })

  test('a final code is used only when nothing is left on the node', async () => {
    let busy = true
    await using node = await TestNode.start({
      mounter: {
        ...privateDirectory,
        unmount: async (path) => {
          if (busy) throw new Error(`cannot unmount ${path}: EBUSY`)
          return privateDirectory.unmount(path)
        },
      },
    })
    node.issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'no') }
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('was denied: no') as string,
    })
    busy = false
    await node.unpublish(volume)
    expect(await readdir(node.volumesFolder)).toEqual([])
  })

  test('a certificate that a denied volume gets in the end is like any other', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    node.issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'no') }
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION })
    node.issuer.release()
    clock.advance(minute)
    await node.publish(volume)
    expect(node.issuer.discarded).toHaveLength(1)
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })
})
