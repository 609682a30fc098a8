import { status as statuses } from '@grpc/grpc-js'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EntryStore } from '../../test/support/entry-store.ts'
import type { EntryCall, EntryFault } from '../../test/support/memory-entries.ts'
import { type ServerTls, StandInServer } from '../../test/support/spire-server.ts'
import { Entry as EntryApi } from '../gen/spire/api/server/entry/v1/entry_pb.ts'
import { systemClock } from '../runtime/clock.ts'
import { newKey } from '../x509/test-pki.ts'
import { bundleService, ownAuthorities } from './bundle-service.ts'
import { entryService } from './entry-service.ts'
import { SpireError } from './errors.ts'
import { svidAuthority, svidLeaf, testIdentity } from './fixtures/svid.ts'
import { checkHealth } from './health.ts'
import { ServerClient, type ServerEndpoint } from './server-client.ts'
import type { WorkloadIdentity } from './workload-identity.ts'

const signal = AbortSignal.timeout(60_000)
const trustDomain = 'example.org'
const authority = svidAuthority()
const registrar = 'spiffe://example.org/registrar'

let folder: string
let path: string
let store: EntryStore
let server: StandInServer
/** What becomes of the next calls, one after the other; the others succeed. */
let faults: ((call: EntryCall) => Promise<EntryFault | undefined>)[]
let clients: ServerClient[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-spire-'))
  path = join(folder, 'api.sock')
  store = new EntryStore({ trustDomain, federated: new Set(['one.test']) })
  faults = []
  clients = []
  server = newServer()
})

afterEach(async () => {
  for (const client of clients) client.close()
  server.kill()
  await rm(folder, { recursive: true })
})

function newServer(): StandInServer {
  return new StandInServer({
    store,
    authorities: [authority.certificate],
    before: async (call) => faults.shift()?.(call),
  })
}

function connect(endpoint: ServerEndpoint, domain = trustDomain): ServerClient {
  const client = new ServerClient({ endpoint, trustDomain: domain, clock: systemClock, random: () => 0 })
  clients.push(client)
  return client
}

const overSocket = (): ServerClient => connect({ by: 'socket', path })

const unavailable = async (): Promise<EntryFault> => ({ carriedOut: 0, error: status('UNAVAILABLE') })

function status(name: keyof typeof statuses): SpireError {
  return new SpireError({ status: statuses[name], method: 'any', address: 'any', details: 'as the test wants' })
}

const listed = async (client: ServerClient): Promise<number> => {
  let count = 0
  for await (const page of entryService(client).list({}, signal)) count += page.length
  return count
}

const newEntry = (id: string) => ({
  id,
  spiffeId: `spiffe://example.org/${id}`,
  parentId: 'spiffe://example.org/node',
  selectors: [{ type: 'k8s', value: `pod-uid:${id}` }],
  dnsNames: [],
  federatesWith: [],
  downstream: false,
})

/** A promise that a test settles. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

describe('a call whose connection is lost', () => {
  test('is made again where it only reads', async () => {
    await server.listen(path)
    faults.push(unavailable, unavailable)
    expect(await listed(overSocket())).toBe(0)
    expect(server.calls).toHaveLength(3)
  })

  test('is made again a few times and not for ever', async () => {
    await server.listen(path)
    faults.push(...Array.from({ length: 20 }, () => unavailable))
    await expect(listed(overSocket())).rejects.toMatchObject({ status: statuses.UNAVAILABLE, transient: true })
    expect(server.calls).toHaveLength(5)
  })

  test('is not made again where it writes: nobody knows what became of it', async () => {
    await server.listen(path)
    faults.push(async () => ({ error: status('UNAVAILABLE') }))
    await expect(entryService(overSocket()).create([newEntry('a')], signal)).rejects.toMatchObject({
      name: 'SpireError',
      status: statuses.UNAVAILABLE,
      method: 'Entry.BatchCreateEntry',
      address: `unix://${path}`,
    })
    expect(server.calls).toHaveLength(1)
    expect(store.size).toBe(1)
  })

  test('is not made again for another reason', async () => {
    await server.listen(path)
    faults.push(async () => ({ error: status('INTERNAL') }))
    await expect(listed(overSocket())).rejects.toMatchObject({ status: statuses.INTERNAL })
    expect(server.calls).toHaveLength(1)
  })

  test('ends with the signal while it waits to be made again', async () => {
    const stop = new AbortController()
    const listing = entryService(overSocket()).list({}, stop.signal)[Symbol.asyncIterator]().next()
    stop.abort(new Error('enough'))
    await expect(listing).rejects.toThrow('enough')
  })
})

test('a server that is killed and comes back is found by the same client', async () => {
  await server.listen(path)
  const client = overSocket()
  await entryService(client).create([newEntry('a')], signal)
  server.kill()
  await server.listen(path)
  expect(await listed(client)).toBe(1)
})

test('a server that sends clients away (GOAWAY) lets their calls end, and others go where it serves next', async () => {
  await server.listen(path)
  const client = overSocket()
  const hold = gate()
  const arrived = gate()
  faults.push(async () => {
    arrived.open()
    await hold.opened
    return undefined
  })
  const held = entryService(client).create([newEntry('held')], signal)
  await arrived.opened
  const draining = server.drain()
  const next = newServer()
  try {
    await next.listen(path)
    expect(await listed(client)).toBe(0)
    hold.open()
    expect(await held).toMatchObject([{ code: 0 }])
    await draining
  } finally {
    next.kill()
  }
})

test('a server that does not answer is given up after the time for the call', async () => {
  await server.listen(path)
  const hold = gate()
  faults.push(async () => {
    await hold.opened
    return undefined
  })
  const call = overSocket().call(EntryApi.method.listEntries, {}, { signal, timeout: 50 })
  await expect(call).rejects.toMatchObject({ status: statuses.DEADLINE_EXCEEDED, transient: true })
  hold.open()
})

test('a call ends with its signal', async () => {
  await server.listen(path)
  const hold = gate()
  const stop = new AbortController()
  faults.push(async () => {
    stop.abort(new Error('enough'))
    await hold.opened
    return undefined
  })
  await expect(entryService(overSocket()).delete(['a'], stop.signal)).rejects.toThrow('enough')
  hold.open()
})

test('a socket where nobody serves is named, with what to look at', async () => {
  await expect(entryService(overSocket()).delete(['a'], signal)).rejects.toThrow(
    new RegExp(
      `^SPIRE server unix://${path}: Entry.BatchDeleteEntry failed with UNAVAILABLE: no connection: .*ENOENT.*mounted`,
    ),
  )
})

test('a client that was closed makes no call', async () => {
  await server.listen(path)
  const client = overSocket()
  client.close()
  await expect(listed(client)).rejects.toThrow('the client was closed')
  expect(server.calls).toHaveLength(0)
})

test('a server says that it is well, and which bundles it holds', async () => {
  await server.listen(path)
  const client = overSocket()
  await checkHealth(client, signal)
  expect(await bundleService(client).federatedTrustDomains(signal)).toEqual(new Set(['one.test']))
  const [own] = await ownAuthorities(client, signal)
  expect(own?.fingerprint).toBe(authority.certificate.fingerprint)
})

describe('over TCP', () => {
  /** The newest identity, as the Workload API would give it. */
  let current: WorkloadIdentity

  beforeEach(() => {
    current = testIdentity(authority, registrar)
  })

  const identity = { current: async () => current, problem: undefined }

  function serverTls(changes: Partial<ServerTls> = {}): ServerTls {
    const key = newKey()
    return {
      key,
      chain: [svidLeaf(authority, key, 'spiffe://example.org/spire/server')],
      clientAuthorities: [authority.certificate],
      admins: new Set([registrar]),
      ...changes,
    }
  }

  const connectTls = async (tls: ServerTls): Promise<ServerClient> =>
    connect({ by: 'tcp', address: await server.listenTls(tls), identity })

  test('an administrator is served', async () => {
    const client = await connectTls(serverTls())
    expect(await entryService(client).create([newEntry('a')], signal)).toMatchObject([{ code: 0, entry: { id: 'a' } }])
    await checkHealth(client, signal)
  })

  test('a caller without the right is told the command that gives it', async () => {
    const client = await connectTls(serverTls({ admins: new Set() }))
    await expect(entryService(client).create([newEntry('a')], signal)).rejects.toThrow(
      /PERMISSION_DENIED: authorization denied .*spire-server entry create -admin -spiffeID spiffe:\/\/example\.org\/registrar /,
    )
    // It reaches a server that is well, and that is all that this says.
    await checkHealth(client, signal)
  })

  test.each([
    ['another workload', ['spiffe://example.org/other']],
    ['an agent', ['spiffe://example.org/spire/agent/a']],
    ['one whose ID goes on', ['spiffe://example.org/spire/server/a']],
    ['one with two IDs', ['spiffe://example.org/spire/server', 'spiffe://example.org/other']],
    ['one without an ID', []],
  ])('%s that poses as the server is refused', async (_, uris) => {
    const key = newKey()
    const client = await connectTls(serverTls({ key, chain: [svidLeaf(authority, key, ...uris)] }))
    await expect(entryService(client).delete(['a'], signal)).rejects.toThrow(
      /UNAVAILABLE: no connection: its certificate has .*, not spiffe:\/\/example\.org\/spire\/server/,
    )
    expect(server.calls).toHaveLength(0)
  })

  test('a server under a CA that is not in the bundle is refused', async () => {
    const key = newKey()
    const chain = [svidLeaf(svidAuthority(), key, 'spiffe://example.org/spire/server')]
    const client = await connectTls(serverTls({ key, chain }))
    await expect(entryService(client).delete(['a'], signal)).rejects.toThrow(/not under the bundle of example\.org/)
  })

  test('a bundle may end in an authority below the root', async () => {
    const intermediate = svidAuthority(authority)
    const key = newKey()
    const chain = [svidLeaf(intermediate, key, 'spiffe://example.org/spire/server')]
    current = { ...current, bundle: [intermediate.certificate] }
    expect(await listed(await connectTls(serverTls({ key, chain })))).toBe(0)
  })

  test('a renewed identity is used by the next call, and calls in flight end undisturbed', async () => {
    const admins = new Set([registrar])
    const client = await connectTls(serverTls({ admins }))
    const hold = gate()
    const arrived = gate()
    faults.push(async () => {
      arrived.open()
      await hold.opened
      return undefined
    })
    const held = entryService(client).create([newEntry('held')], signal)
    await arrived.opened
    current = testIdentity(authority, 'spiffe://example.org/renewed')
    admins.delete(registrar)
    await expect(listed(client)).rejects.toThrow('-spiffeID spiffe://example.org/renewed ')
    admins.add('spiffe://example.org/renewed')
    expect(await listed(client)).toBe(0)
    hold.open()
    expect(await held).toMatchObject([{ code: 0 }])
  })

  test('a renewed identity does not disturb a call that is still connecting', async () => {
    const second = testIdentity(authority, registrar)
    let asked = 0
    const renewing = { current: async () => (asked++ === 0 ? current : second), problem: undefined }
    const client = connect({ by: 'tcp', address: await server.listenTls(serverTls()), identity: renewing })
    const results = await Promise.all(['a', 'b'].map((id) => entryService(client).create([newEntry(id)], signal)))
    expect(results.flat()).toMatchObject([{ code: 0 }, { code: 0 }])
    expect(asked).toBe(2)
  })

  test('a call without an identity says why there is none', async () => {
    const problem = 'Workload API unix:///run/agent.sock: PERMISSION_DENIED: no identity issued'
    const none = {
      current: () => Promise.reject(new Error(problem)),
      problem,
    }
    const client = connect({ by: 'tcp', address: 'localhost:1', identity: none })
    await expect(listed(client)).rejects.toMatchObject({
      name: 'SpireError',
      message: expect.stringContaining(`this process has no SVID. ${problem}`),
      transient: true,
    })
  })
})
