import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { silentLog } from '../runtime/log.ts'
import { until } from '../../test/support/until.ts'
import { svidAuthority, testIdentity } from './fixtures/svid.ts'
import { messageOf, WorkloadApiServer } from './fixtures/workload-api-server.ts'
import { WorkloadApi } from './workload-api.ts'
import type { WorkloadIdentity } from './workload-identity.ts'

const signal = AbortSignal.timeout(60_000)
const authority = svidAuthority()
const identity = testIdentity(authority, 'spiffe://example.org/registrar')
const renewed = testIdentity(authority, 'spiffe://example.org/registrar')

let folder: string
let path: string
let agent: WorkloadApiServer
const opened: WorkloadApi[] = []

/** What was waited for, without the wait. */
let waits: number[]
const impatient: Clock = {
  now: () => systemClock.now(),
  timer(delay, fire, isAwaited) {
    waits.push(delay)
    return systemClock.timer(5, fire, isAwaited)
  },
}

function open(address = path): WorkloadApi {
  const api = new WorkloadApi({
    address,
    trustDomain: 'example.org',
    clock: impatient,
    log: silentLog,
    random: () => 0,
  })
  opened.push(api)
  return api
}

/** The certificate in use, by its fingerprint. */
const leafOf = ({ chain: [leaf] }: WorkloadIdentity): string => leaf.fingerprint

beforeEach(async () => {
  waits = []
  folder = await mkdtemp(join(tmpdir(), 'podpass-agent-'))
  path = join(folder, 'agent.sock')
  agent = new WorkloadApiServer(path)
})

afterEach(async () => {
  await Promise.all(opened.splice(0).map((api) => api.close()))
  agent.close()
  await rm(folder, { recursive: true })
})

test.each(['', 'unix:', 'unix://'])(
  'the SVID that the agent gives is there, by an address with "%s" before it',
  async (scheme) => {
    await agent.listen()
    agent.give(identity)
    const api = open(`${scheme}${path}`)
    expect(leafOf(await api.current(signal))).toBe(leafOf(identity))
    expect(api.problem).toBe(undefined)
  },
)

test('an SVID that the agent renews takes the place of the one before', async () => {
  await agent.listen()
  agent.give(identity)
  const api = open()
  const first = await api.current(signal)
  agent.give(renewed)
  await until('the renewed SVID is there', async () => leafOf(await api.current(signal)) === leafOf(renewed))
  expect(leafOf(first)).toBe(leafOf(identity))
  expect(agent.asked).toBe(1)
})

test('a process without an entry asks again for ever, after 1 s and up to 30 s, and is told what is missing', async () => {
  await agent.listen()
  const api = open()
  await until('it has asked eight times', () => agent.asked >= 8)
  expect(waits.slice(0, 7)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
  expect(api.problem).toContain('PERMISSION_DENIED: no identity issued')
  expect(api.problem).toContain('spire-server entry create -admin -spiffeID spiffe://example.org/')
  agent.give(identity)
  expect(leafOf(await api.current(signal))).toBe(leafOf(identity))
  expect(api.problem).toBe(undefined)
})

test('an agent that comes only later is found', async () => {
  const api = open()
  await until('the socket is missed', () => api.problem?.includes('ENOENT'))
  expect(api.problem).toContain('folder mounted here')
  await agent.listen()
  agent.give(identity)
  expect(leafOf(await api.current(signal))).toBe(leafOf(identity))
})

test('the SVID stays while the agent is away, and is renewed once it is back', async () => {
  await agent.listen()
  agent.give(identity)
  const api = open()
  await api.current(signal)
  agent.endStreams()
  await until('the end is noticed', () => api.problem?.includes('ended the stream'))
  agent.close()
  await until('the agent is missed', () => api.problem?.includes('UNAVAILABLE'))
  expect(leafOf(await api.current(signal))).toBe(leafOf(identity))
  await agent.listen()
  agent.give(renewed)
  await until('the renewed SVID is there', async () => leafOf(await api.current(signal)) === leafOf(renewed))
  expect(api.problem).toBe(undefined)
})

test('an answer that cannot be used is told, leaves the SVID before it, and does not end the stream', async () => {
  await agent.listen()
  agent.give(identity)
  const api = open()
  await api.current(signal)
  agent.giveRaw([{ ...messageOf(renewed), bundle: new Uint8Array([1]) }])
  await until('the answer is told of', () => api.problem?.includes('its bundle cannot be read'))
  expect(leafOf(await api.current(signal))).toBe(leafOf(identity))
  agent.give(renewed)
  await until('the renewed SVID is there', async () => leafOf(await api.current(signal)) === leafOf(renewed))
  expect(agent.asked).toBe(1)
})

test('who waits for a first SVID gives up by a signal, or when it is closed', async () => {
  await agent.listen()
  const api = open()
  const stop = new AbortController()
  const waiting = api.current(stop.signal)
  stop.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  const outcome = api.current(signal).catch((error: Error) => error.message)
  await api.close()
  expect(await outcome).toContain('was closed')
})
