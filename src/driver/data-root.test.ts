import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { until } from '../../test/support/until.ts'
import { systemClock } from '../runtime/clock.ts'
import { type Libc, loadLibc } from '../runtime/libc.ts'
import { type Log, silentLog } from '../runtime/log.ts'
import { DataRootError, mountObstacle, openDataRoot, podsDirectoryOf, readBootId, swapIsOn } from './data-root.ts'

let folder: string
let path: string
const { signal } = new AbortController()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podpass-'))
  path = join(folder, 'deep', 'data')
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const libc = loadLibc()
const noLibc = libc === undefined ? ' (skipped: koffi has no build here)' : ''

/** A C library whose locks answer with these, then succeed. */
function locksAnswering(...answers: string[]): Libc {
  const unused = (): never => {
    throw new Error('not used')
  }
  return {
    mount: unused,
    unmount: unused,
    forbidDumps: unused,
    cloneMount: unused,
    lockExclusive: () => answers.shift(),
  }
}

test('the data root is made, for its owner only', async () => {
  const root = await openDataRoot(path, libc, systemClock, silentLog, signal)
  expect(root.volumes).toBe(join(path, 'volumes'))
  expect(statSync(path).mode & 0o777).toBe(0o700)
  expect(readdirSync(path)).toEqual(['lock'])
  expect(statSync(join(path, 'lock')).mode & 0o777).toBe(0o600)
  await root.close()
})

describe.skipIf(libc === undefined)(`the lock${noLibc}`, () => {
  test('is held by one at a time; a second waits, says so once, and goes on as soon as the first ends', async () => {
    const told: string[] = []
    const log: Log = { ...silentLog, info: (_fields, message) => told.push(message) }
    const first = await openDataRoot(path, libc, systemClock, silentLog, signal)
    let opened = false
    const second = openDataRoot(path, libc, systemClock, log, signal).then((root) => {
      opened = true
      return root
    })
    await until('it waits', () => told.length > 0)
    expect(opened).toBe(false)
    await first.close()
    await (await second).close()
    expect(told).toEqual(['another driver holds the data root; waiting for it to end'])
  })

  test('that is waited for is given up with the signal', async () => {
    const first = await openDataRoot(path, libc, systemClock, silentLog, signal)
    const stopping = new AbortController()
    const log: Log = { ...silentLog, info: () => stopping.abort(new Error('stopped')) }
    await expect(openDataRoot(path, libc, systemClock, log, stopping.signal)).rejects.toThrow('stopped')
    await first.close()
    await (await openDataRoot(path, libc, systemClock, silentLog, signal)).close()
  })
})

test('a lock that is held is tried again ten times a second', async () => {
  const clock = new ManualClock()
  const opening = openDataRoot(path, locksAnswering('EAGAIN', 'EAGAIN'), clock, silentLog, signal)
  for (let round = 0; round < 2; round++) {
    expect(await until('it waits', () => clock.next)).toBe(100)
    clock.advance(100)
  }
  await (await opening).close()
})

test('a file system that does not lock is told, not waited for', async () => {
  const opening = openDataRoot(path, locksAnswering('ENOLCK'), new ManualClock(), silentLog, signal)
  await expect(opening).rejects.toThrow(
    new DataRootError(`cannot lock ${join(path, 'lock')}: ENOLCK; choose a data root on a local file system`),
  )
})

test('without a C library the data root is not locked', async () => {
  const first = await openDataRoot(path, undefined, systemClock, silentLog, signal)
  const second = await openDataRoot(path, undefined, systemClock, silentLog, signal)
  expect(second.volumes).toBe(first.volumes)
  await Promise.all([first.close(), second.close()])
})

test('a folder on a mount that is not shared is an obstacle, and the text says what to change', async () => {
  // /proc is shared on no machine that mounts it by itself for a container, but may be on a host; then both are fine.
  const alone = await mountObstacle('/proc/self', undefined)
  const both = await mountObstacle('/proc/self', '/proc/sys')
  expect(alone === undefined).toBe(both === undefined)
  if (alone === undefined || both === undefined) return
  expect(alone).toMatch(/^\/proc\/self is not on a mount shared with the host.*mountPropagation: Bidirectional$/)
  expect(both).toMatch(/^\/proc\/self and \/proc\/sys are not on a mount shared/)
})

test.each([
  ['/var/lib/kubelet/plugins/podpass/csi.sock', '/var/lib/kubelet/pods'],
  ['/mnt/kubelet/plugins/csi.cert-manager.io/csi.sock', '/mnt/kubelet/pods'],
  ['/plugins/podpass/csi.sock', '/pods'],
  ['/plugin/csi.sock', undefined],
  ['/var/lib/kubelet/plugins/csi.sock', undefined],
  ['/var/lib/kubelet/plugins/a/b/csi.sock', undefined],
])('the pods folder of the kubelet with the socket %s is %s', (endpoint, pods) => {
  expect(podsDirectoryOf(endpoint)).toBe(pods)
})

test('this boot has an id, always the same', async () => {
  expect(await readBootId()).toMatch(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  expect(await readBootId()).toBe(await readBootId())
})

test('whether swap is on is known', async () => {
  expect(typeof (await swapIsOn())).toBe('boolean')
})

test('a data root that cannot be made is an error', async () => {
  writeFileSync(join(folder, 'deep'), '')
  await expect(openDataRoot(path, libc, systemClock, silentLog, signal)).rejects.toMatchObject({ code: 'ENOTDIR' })
})
