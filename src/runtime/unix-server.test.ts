import { create } from '@bufbuild/protobuf'
import { Server } from '@grpc/grpc-js'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type * as fs from 'node:fs'
import { rename } from 'node:fs/promises'
import { connect, createServer, type Server as SocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { until } from '../../test/support/until.ts'
import {
  GetPluginCapabilitiesResponseSchema,
  GetPluginInfoResponseSchema,
  Identity,
  ProbeResponseSchema,
} from '../gen/csi/v1/csi_pb.ts'
import { systemClock } from './clock.ts'
import { UnixClient } from './grpc-client.ts'
import { implementation, serviceDefinition } from './grpc-service.ts'
import { type Log, silentLog } from './log.ts'
import { SocketError } from './socket-path.ts'
import { UnixServer } from './unix-server.ts'

/** Whether this machine has no inotify instance left. */
const inotify = vi.hoisted(() => ({ exhausted: false }))

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>()
  const watch = (...args: Parameters<typeof real.watch>): fs.FSWatcher => {
    if (inotify.exhausted) throw Object.assign(new Error('EMFILE: too many open files, watch'), { code: 'EMFILE' })
    return real.watch(...args)
  }
  return { ...real, watch }
})

let folder: string
let path: string
const closing: (() => Promise<void> | void)[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podpass-'))
  path = join(folder, 'csi.sock')
})

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  rmSync(folder, { recursive: true, force: true })
})

/** A driver that answers with a name. */
function serverNamed(name: string): Server {
  const server = new Server()
  server.addService(
    serviceDefinition(Identity),
    implementation<typeof Identity>({
      getPluginInfo: (_call, answer) => answer(null, create(GetPluginInfoResponseSchema, { name })),
      getPluginCapabilities: (_call, answer) => answer(null, create(GetPluginCapabilitiesResponseSchema)),
      probe: (_call, answer) => answer(null, create(ProbeResponseSchema)),
    }),
  )
  closing.push(() => server.forceShutdown())
  return server
}

async function listen(name: string, at = path, log: Log = silentLog): Promise<{ unix: UnixServer; server: Server }> {
  const server = serverNamed(name)
  const unix = await UnixServer.listen(at, server, systemClock, log, AbortSignal.timeout(10_000))
  closing.push(() => unix.close())
  return { unix, server }
}

/** Who answers on the socket, over a connection of its own. */
async function whoAnswers(at = path): Promise<string> {
  const client = new UnixClient(at)
  try {
    return (await client.call(Identity.method.getPluginInfo, {}, 5000)).name
  } finally {
    client.close()
  }
}

const answering = (name: string) => async (): Promise<boolean> => (await whoAnswers().catch(() => '')) === name

/** Another process's socket, as far as the file system can tell. */
async function foreignSocket(at: string): Promise<SocketServer> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(at, resolve))
  closing.push(() => new Promise((resolve) => void server.close(() => resolve())))
  return server
}

test('serves on the path, for its owner only, and leaves no other file there', async () => {
  const { unix } = await listen('one')
  expect(await whoAnswers()).toBe('one')
  expect(statSync(path).isSocket()).toBe(true)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['csi.sock'])
  await unix.close()
  expect(readdirSync(folder)).toEqual([])
})

test('makes the folders above the path', async () => {
  const deep = join(folder, 'plugins', 'podpass', 'csi.sock')
  await listen('one', deep)
  expect(await whoAnswers(deep)).toBe('one')
})

test('takes the place of a socket that nobody serves, and of a plain file', async () => {
  const dead = await foreignSocket(join(folder, 'dead.sock'))
  // Closing a listener removes its own name only.
  await rename(join(folder, 'dead.sock'), path)
  await new Promise<void>((resolve) => void dead.close(() => resolve()))
  expect(existsSync(path)).toBe(true)
  const { unix } = await listen('one')
  expect(await whoAnswers()).toBe('one')
  await unix.close()
  writeFileSync(path, '')
  await listen('two')
  expect(await whoAnswers()).toBe('two')
})

test('a socket that somebody removes comes back, each time, and calls go on', async () => {
  const warnings: string[] = []
  const log: Log = { ...silentLog, warn: (_fields, message) => warnings.push(message) }
  await listen('one', path, log)
  const client = new UnixClient(path)
  closing.push(() => client.close())
  expect((await client.call(Identity.method.getPluginInfo, {})).name).toBe('one')
  for (let round = 1; round <= 3; round++) {
    rmSync(path)
    await until('the socket is back', answering('one'))
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await client.call(Identity.method.getPluginInfo, {})).name).toBe('one')
    await until('it is told', () => warnings.length === round)
  }
  expect(new Set(warnings)).toEqual(new Set(['the socket had been removed; it is back']))
  expect(readdirSync(folder)).toEqual(['csi.sock'])
})

test('a listener whose socket was removed is not kept', async () => {
  await listen('one')
  const listeners = (): number =>
    readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .filter((line) => line.includes(folder) && / 00010000 /.test(line)).length
  expect(listeners()).toBe(1)
  for (let round = 0; round < 3; round++) {
    rmSync(path)
    await until('the socket is back', answering('one'))
  }
  await until('the old listeners are closed', () => listeners() === 1)
})

test('a predecessor that still answers is waited for, and its end does not take the new socket away', async () => {
  const told: string[] = []
  const log: Log = { ...silentLog, info: (_fields, message) => told.push(message) }
  const old = await listen('old')
  const next = listen('new', path, log)
  await until('it waits', () => told.length > 0)
  expect(await whoAnswers()).toBe('old')
  await new Promise<void>((resolve) => old.server.tryShutdown(() => resolve()))
  await next
  expect(await whoAnswers()).toBe('new')
  await old.unix.close()
  expect(await whoAnswers()).toBe('new')
  expect(told).toEqual(['another process still serves the socket; waiting for it to end'])
})

test('a predecessor whose queue of connections is full is waited for too', async () => {
  const source = `require('node:net').createServer().listen({ path: process.argv[1], backlog: 0 }, () => console.log('ready'))`
  const old = spawn(process.execPath, ['-e', source, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  closing.push(() => void old.kill('SIGKILL'))
  await once(old.stdout, 'data')
  old.kill('SIGSTOP')
  const outcomes: string[] = []
  while (!outcomes.includes('EAGAIN')) {
    const socket = connect(path)
    closing.push(() => void socket.destroy())
    outcomes.push(
      await new Promise<string>((resolve) => {
        socket.once('connect', () => resolve('connected'))
        socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
      }),
    )
  }
  const stopping = new AbortController()
  const log: Log = { ...silentLog, info: () => stopping.abort(new Error('it waits')) }
  await expect(UnixServer.listen(path, serverNamed('one'), systemClock, log, stopping.signal)).rejects.toThrow(
    'it waits',
  )
})

test('a machine without an inotify instance left is served, and told that the socket is not watched', async () => {
  const warnings: string[] = []
  inotify.exhausted = true
  try {
    await listen('one', path, { ...silentLog, warn: (_fields, message) => warnings.push(message) })
  } finally {
    inotify.exhausted = false
  }
  expect(await whoAnswers()).toBe('one')
  expect(warnings).toEqual(['the socket cannot be watched; if somebody removes it, restart the driver'])
})

test('waiting for a predecessor ends with the signal', async () => {
  await foreignSocket(path)
  const stopping = new AbortController()
  const log: Log = { ...silentLog, info: () => stopping.abort(new Error('stopped')) }
  await expect(UnixServer.listen(path, serverNamed('one'), systemClock, log, stopping.signal)).rejects.toThrow(
    'stopped',
  )
})

test('somebody else who takes the path keeps it, also when this server ends', async () => {
  const { unix } = await listen('one')
  await foreignSocket(join(folder, 'other.sock'))
  await rename(join(folder, 'other.sock'), path)
  const theirs = statSync(path).ino
  await unix.close()
  expect(statSync(path).ino).toBe(theirs)
})

test('a server that has ended does not come back', async () => {
  const { unix } = await listen('one')
  await unix.close()
  await foreignSocket(path)
  rmSync(path)
  await unix.close()
  expect(readdirSync(folder)).toEqual([])
})

test('a path that Linux would cut off is refused, the longest that fits is served', async () => {
  // Beside the path itself, `.` and `.999` must fit into 107 bytes.
  const room = 107 - '.'.length - '.999'.length - folder.length - '/'.length
  const longest = join(folder, 'x'.repeat(room))
  await listen('one', longest)
  expect(await whoAnswers(longest)).toBe('one')
  await expect(listen('two', `${longest}x`)).rejects.toThrow(SocketError)
  await expect(listen('two', join(folder, 'é'.repeat(room)))).rejects.toThrow('Linux allows 102 here')
  expect(readdirSync(folder)).toEqual(['x'.repeat(room)])
})

test.skipIf(process.geteuid?.() === 0)('a folder that may not be written is told as such', async () => {
  chmodSync(folder, 0o500)
  await expect(listen('one')).rejects.toThrow(/EACCES|permission denied/)
  chmodSync(folder, 0o700)
})
