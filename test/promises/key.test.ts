import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { RequestDeniedError } from '../../src/issuer/errors.ts'
import type { Mounter } from '../../src/volume/mounter.ts'
import { privateDirectory } from '../../src/volume/private-directory.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode } from '../support/node.ts'
import { recordingLog } from '../support/recording-log.ts'
import { until } from '../support/until.ts'

// What the driver promises of keys, tokens and passwords (docs/promises.md, 1), on its socket. What mounts promise is in
// mounts.test.ts.

const hour = 3600_000
const tokens = (token: string): Record<string, string> => ({
  'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify({
    '': { token, expirationTimestamp: '2999-01-01T00:00:00Z' },
  }),
})

describe('promise 1, the key', () => {
  test('a pod sees its files and nothing else of its volume', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    const visible = (await readdir(volume.target)).filter((name) => !name.startsWith('..'))
    expect(visible.sort()).toEqual(['ca.crt', 'tls.crt', 'tls.key'])
  })

  test('the stored state holds no key and no password, and nothing that is stored holds a token', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume({
      ...tokens('secret-token'),
      'csi.cert-manager.io/pkcs12-enable': 'true',
      'csi.cert-manager.io/pkcs12-password': 'secret-password',
    })
    await node.publish(volume)
    const state = await readFile(join(node.volumesFolder, volume.id, 'state.json'), 'utf8')
    expect(state).not.toMatch(/secret|PRIVATE KEY/)
    expect(await node.stored()).not.toContain('secret-token')
    // What a renewal needs is kept apart, for its owner only.
    const pending = join(node.volumesFolder, volume.id, 'pending')
    expect(await readdir(pending)).toEqual(['passwords.json'])
    expect(((await stat(join(pending, 'passwords.json'))).mode & 0o777).toString(8)).toBe('600')
  })

  test('two volumes never share a key, and a renewal makes a new one', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const [one, other] = [await node.volume(), await node.volume()]
    await Promise.all([node.publish(one), node.publish(other)])
    const first = await node.read(one, 'tls.key')
    expect(await node.read(other, 'tls.key')).not.toBe(first)
    clock.advance(700 * hour)
    await until('the key has changed', async () => (await node.read(one, 'tls.key')) !== first)
  })

  test('no key and no token stands in a log, an error, an event, a metric or a report', async () => {
    const clock = new ManualClock()
    const told: string[] = []
    await using node = await TestNode.start({ clock, log: recordingLog(told) })
    const volume = await node.volume(tokens('secret-token'))
    await node.publish(volume)
    const secrets = [await node.read(volume, 'tls.key')]
    const before = await node.serial(volume)
    clock.advance(700 * hour)
    await node.renewed(volume, before)
    secrets.push(await node.read(volume, 'tls.key'))
    // A key in flight: its request is held, then its renewal refused.
    node.issuer.script = 'hold'
    clock.advance(700 * hour)
    secrets.push(
      await until('the next key is stored', async () =>
        readFile(join(node.volumesFolder, volume.id, 'pending', 'key.pem'), 'utf8').catch(() => undefined),
      ),
    )
    node.issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'not on my watch') }
    const other = await node.volume(tokens('secret-token'))
    told.push(String(await node.publish(other).catch((error: unknown) => error)))
    const broken = await node.volume({ 'csi.storage.k8s.io/serviceAccount.tokens': '{"secret-token"' })
    told.push(String(await node.publish(broken).catch((error: unknown) => error)))
    told.push(JSON.stringify(node.events), await node.metrics(), JSON.stringify(node.driver.inspect()))

    const text = told.join('\n')
    expect(text).toContain('not on my watch')
    expect(text).toContain('call refused')
    expect(text).not.toContain('secret-token')
    expect(new Set(secrets).size).toBe(3)
    for (const line of secrets.flatMap((pem) => pem.split('\n')).filter((line) => /^[\w+/=]{20,}$/.test(line))) {
      expect(text).not.toContain(line)
    }
    expect(text).not.toContain('PRIVATE KEY')
  })

  test('a kernel that could write keys to swap is told by a warning and a metric', async () => {
    const told: string[] = []
    await using node = await TestNode.start({ log: recordingLog(told), swapOn: async () => true })
    await node.publish(await node.volume())
    expect(told.join('\n')).toContain('private keys may be written to disk: swap is on')
    expect(await node.metrics()).toMatch(/^podpass_volume_memory_swappable 1$/m)
  })

  test('--require-noswap refuses such a kernel, and leaves nothing', async () => {
    await using node = await TestNode.start({ requireNoswap: true, swapOn: async () => true })
    await expect(node.publish(await node.volume())).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('--require-noswap refuses that: turn swap off, or use a newer kernel') as string,
    })
    expect(node.issuer.submissions).toBe(0)
    expect(await readdir(node.volumesFolder)).toEqual([])
  })

  test.each([
    ['where no swap is on', privateDirectory, false],
    [
      'where the kernel keeps the memory out of swap',
      {
        ...privateDirectory,
        mountPrivate: async (...args) => ({ ...(await privateDirectory.mountPrivate(...args)), noswap: true }),
      },
      true,
    ],
  ] satisfies [string, Mounter, boolean][])(
    'nothing is told of swap, or refused, %s',
    async (_where, mounter, swapOn) => {
      const told: string[] = []
      await using node = await TestNode.start({
        mounter,
        log: recordingLog(told),
        requireNoswap: true,
        swapOn: async () => swapOn,
      })
      await node.publish(await node.volume())
      expect(told.join('\n')).not.toContain('swap')
      expect(await node.metrics()).toMatch(/^podpass_volume_memory_swappable 0$/m)
    },
  )
})
