import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { listAgents } from '../../src/spire/agent-service.ts'
import { bundleService, ownAuthorities } from '../../src/spire/bundle-service.ts'
import type { Entry, NewEntry } from '../../src/spire/entry.ts'
import { entryService } from '../../src/spire/entry-service.ts'
import { checkHealth } from '../../src/spire/health.ts'
import { ServerClient, type ServerEndpoint } from '../../src/spire/server-client.ts'
import { mintX509Svid } from '../../src/spire/svid-service.ts'
import { WorkloadApi } from '../../src/spire/workload-api.ts'
import { verifyChain } from '../../src/x509/chain.ts'
import { keyMatches } from '../../src/x509/key.ts'
import { SpireAgent } from './spire-agent.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

const signal = AbortSignal.timeout(600_000)
/** Every process of this user shows it to the agent. */
const ownSelector = `unix:uid:${process.getuid?.() ?? 0}`

let server: SpireServer
let agent: SpireAgent
const opened: { close(): void | Promise<void> }[] = []

beforeAll(async () => {
  // Short, so that tests see it renewed: an agent renews at half of it.
  server = await SpireServer.start({ svidLifetime: '20s' })
  agent = await SpireAgent.start(server)
})

afterEach(async () => {
  for (const client of opened.splice(0).toReversed()) await client.close()
})

afterAll(async () => {
  await agent?.close()
  await server?.close()
})

function connect(endpoint: ServerEndpoint, trustDomain = server.trustDomain): ServerClient {
  const client = new ServerClient({ endpoint, trustDomain, clock: systemClock })
  opened.push(client)
  return client
}

const overSocket = (): ServerClient => connect({ by: 'socket', path: server.socket })

/** The identity that the agent gives to this process. */
function ownIdentity(): WorkloadApi {
  const api = new WorkloadApi({
    address: agent.socket,
    trustDomain: server.trustDomain,
    clock: systemClock,
    log: silentLog,
  })
  opened.push(api)
  return api
}

function newEntry(name: string): NewEntry {
  return {
    id: `client.${name}`,
    spiffeId: server.id(`/workload/${name}`),
    parentId: server.id('/node/one'),
    selectors: [{ type: 'k8s', value: `pod-uid:${name}` }],
    dnsNames: [],
    federatesWith: [],
    downstream: false,
  }
}

async function listed(client: ServerClient): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  for await (const page of entryService(client).list({}, signal)) entries.push(...page)
  return entries
}

/** Makes this process a workload for the time of a test. */
async function registered(admin: boolean): Promise<AsyncDisposable> {
  const { id } = await server.createEntry({
    spiffeId: server.id('/registrar'),
    parentId: agent.id,
    selector: [ownSelector],
    admin,
  })
  return { [Symbol.asyncDispose]: () => server.deleteEntry(id) }
}

describe('over the socket', () => {
  test('the server is well, and tells its agents and its authorities', async () => {
    const client = overSocket()
    await checkHealth(client, signal)
    const agents = []
    for await (const page of listAgents(client, [], signal)) agents.push(...page)
    expect(agents).toMatchObject([{ id: agent.id, attestationType: 'join_token', banned: false }])
    expect(agents[0]?.expiresAt).toBeGreaterThan(Date.now())
    expect(await ownAuthorities(client, signal)).toMatchObject([{ isCA: true, names: { uri: [server.id('')] } }])
  })

  test('an agent is found by its selectors', async () => {
    const none = listAgents(overSocket(), [{ type: 'k8s_psat', value: 'agent_node_name:nowhere' }], signal)
    expect(await none.next()).toEqual({ done: true, value: undefined })
  })

  test('a certificate is minted for a key that is made here, and verifies', async () => {
    const client = overSocket()
    const spiffeId = server.id('/k8s-workload-registrar/webhook')
    const dnsNames = ['k8s-workload-registrar.spire.svc', '*.other.svc']
    const { key, chain } = await mintX509Svid(client, { spiffeId, dnsNames, ttl: 3600 }, signal)
    const [leaf, ...intermediates] = chain
    expect(keyMatches(key, leaf)).toBe(true)
    expect(leaf.names).toMatchObject({ uri: [spiffeId], dns: dnsNames })
    expect(verifyChain(leaf, intermediates, await ownAuthorities(client, signal), Date.now(), 0).ok).toBe(true)
  })

  test.each([
    [{ spiffeId: '/spire/server', dnsNames: [] }, 'CSR URI SAN is invalid'],
    [{ spiffeId: '/webhook', dnsNames: ['-wrong-'] }, 'CSR DNS name is invalid'],
  ])('%j cannot be minted', async ({ spiffeId, dnsNames }, problem) => {
    const minting = mintX509Svid(overSocket(), { spiffeId: server.id(spiffeId), dnsNames, ttl: 0 }, signal)
    await expect(minting).rejects.toThrow(`SVID.MintX509SVID failed with INVALID_ARGUMENT: ${problem}`)
  })

  test('the socket of an agent is not taken for that of a server', async () => {
    const client = connect({ by: 'socket', path: agent.socket })
    await expect(entryService(client).delete(['a'], signal)).rejects.toThrow(/UNIMPLEMENTED.*agent_socket_path/)
  })

  test('a socket that is not there is named', async () => {
    const client = connect({ by: 'socket', path: join(server.directory, 'nobody.sock') })
    await expect(checkHealth(client, signal)).rejects.toThrow(/nobody\.sock.*UNAVAILABLE.*mounted here/)
  })
})

describe('over TCP, as a workload', () => {
  test('without an entry there is no identity, and both say what is missing', async () => {
    const identity = ownIdentity()
    const client = connect({ by: 'tcp', address: server.address, identity })
    await expect(checkHealth(client, signal)).rejects.toThrow(
      /this process has no SVID\. .*PERMISSION_DENIED: no identity issued\. .*spire-server entry create -admin /,
    )
  })

  test('an entry that gives no right leads to an answer with the command that does, and no further', async () => {
    await using _ = await registered(false)
    const identity = ownIdentity()
    await identity.current(signal)
    const client = connect({ by: 'tcp', address: server.address, identity })
    await checkHealth(client, signal)
    const refused = {
      status: 7,
      transient: false,
      message: expect.stringContaining(`entry create -admin -spiffeID ${server.id('/registrar')} -parentID `),
    }
    await expect(entryService(client).create([newEntry('refused')], signal)).rejects.toMatchObject(refused)
    await expect(listed(client)).rejects.toMatchObject(refused)
    await expect(bundleService(client).federatedTrustDomains(signal)).rejects.toMatchObject(refused)
  })

  test('an administrator may do everything, before and after its identity was renewed', async () => {
    await using _ = await registered(true)
    const identity = ownIdentity()
    const client = connect({ by: 'tcp', address: server.address, identity })
    const entries = entryService(client)
    const first = await identity.current(signal)
    expect(await entries.create([newEntry('before')], signal)).toMatchObject([{ code: 0 }])

    // Calls go on and on, so that some are in flight whenever the identity changes.
    const stop = new AbortController()
    const calling = (async () => {
      let calls = 0
      for (; !stop.signal.aborted; calls++)
        await entries.update([{ ...newEntry('before'), fields: ['dnsNames'] }], signal)
      return calls
    })()
    const renewed = await until('the identity to be renewed twice', async () => {
      const { chain } = await identity.current(signal)
      return chain[0].notAfter > first.chain[0].notAfter + 10_000 && chain
    })
    stop.abort()
    expect(await calling).toBeGreaterThan(0)
    expect(renewed[0].fingerprint).not.toBe(first.chain[0].fingerprint)
    expect(await entries.delete([newEntry('before').id], signal)).toMatchObject([{ code: 0 }])
  })

  test('a server that posed as that of another trust domain is refused', async () => {
    await using _ = await registered(true)
    const client = connect({ by: 'tcp', address: server.address, identity: ownIdentity() }, 'other.test')
    await expect(listed(client)).rejects.toThrow(
      `its certificate has ${server.id('/spire/server')}, not spiffe://other.test/spire/server`,
    )
  })

  test('a server of the same name under another CA is refused', async () => {
    await using other = await SpireServer.start()
    await using _ = await registered(true)
    const client = connect({ by: 'tcp', address: other.address, identity: ownIdentity() })
    await expect(listed(client)).rejects.toThrow(/not under the bundle of example\.org/)
  })

  test('a server that restarts is found again, over both ways, and holds what was written', async () => {
    await using _ = await registered(true)
    const tcp = connect({ by: 'tcp', address: server.address, identity: ownIdentity() })
    const socket = overSocket()
    await entryService(tcp).create([newEntry('kept')], signal)
    expect((await listed(socket)).map(({ id }) => id)).toContain('client.kept')
    await server.stop('SIGKILL')
    await expect(entryService(tcp).delete(['client.kept'], signal)).rejects.toMatchObject({
      status: 14,
      transient: true,
    })
    await server.restart()
    for (const client of [tcp, socket]) {
      const found = await until('the server to be found', () => listed(client))
      expect(found.map(({ id }) => id)).toContain('client.kept')
    }
    await entryService(tcp).delete(['client.kept'], signal)
  })
})
