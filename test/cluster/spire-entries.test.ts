import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { bundleService } from '../../src/spire/bundle-service.ts'
import { entryService } from '../../src/spire/entry-service.ts'
import { ServerClient, type ServerEndpoint } from '../../src/spire/server-client.ts'
import { WorkloadApi } from '../../src/spire/workload-api.ts'
import { answersOf, entryChanges, stateOf } from '../support/entry-calls.ts'
import { type EntryServer, testEntryService } from '../support/entry-service-suite.ts'
import { EntryStore } from '../support/entry-store.ts'
import { MemoryEntries } from '../support/memory-entries.ts'
import { SpireAgent } from './spire-agent.ts'
import { SpireServer } from './spire.ts'

describe('the real server, over its socket', () => {
  testEntryService(startServer)
})

describe('the real server, over TCP', () => {
  testEntryService(startRemoteServer)
})

test('what stands in for the server elsewhere answers as it does, whatever it is told', async () => {
  const signal = AbortSignal.timeout(150_000)
  await using server = await startServer()
  const bundles = ['one.test', 'two.test']
  for (const name of bundles) await server.addBundle(name)
  await fc.assert(
    fc.asyncProperty(entryChanges, async (changes) => {
      const left = await stateOf(server.entries, signal)
      await server.entries.delete(
        left.map(({ id }) => id),
        signal,
      )
      const store = new EntryStore({ trustDomain: 'example.org', federated: new Set(bundles) })
      const standIn = new MemoryEntries({ store })
      for (const change of changes) {
        expect(await answersOf(standIn, change, signal)).toEqual(await answersOf(server.entries, change, signal))
      }
      expect(await stateOf(standIn, signal)).toEqual(await stateOf(server.entries, signal))
    }),
  )
})

/** A server that is called over its socket. */
async function startServer(): Promise<EntryServer> {
  await using parts = new AsyncDisposableStack()
  const server = parts.use(await SpireServer.start())
  return connect(server, { by: 'socket', path: server.socket }, parts.move())
}

/** A server that is called over TCP, by this process as an administrator. */
async function startRemoteServer(): Promise<EntryServer> {
  await using parts = new AsyncDisposableStack()
  const server = parts.use(await SpireServer.start())
  const agent = parts.use(await SpireAgent.start(server))
  const selector = [`unix:uid:${process.getuid?.() ?? 0}`]
  await server.createEntry({ spiffeId: server.id('/caller'), parentId: agent.id, selector, admin: true })
  const { trustDomain } = server
  const identity = parts.adopt(
    new WorkloadApi({ address: agent.socket, trustDomain, clock: systemClock, log: silentLog }),
    (api) => api.close(),
  )
  // It is refused until the agent has heard of the entry; the client itself would wait for less long.
  await identity.current(AbortSignal.timeout(60_000))
  return connect(server, { by: 'tcp', address: server.address, identity }, parts.move())
}

function connect(server: SpireServer, endpoint: ServerEndpoint, parts: AsyncDisposableStack): EntryServer {
  const client = parts.adopt(
    new ServerClient({ endpoint, trustDomain: server.trustDomain, clock: systemClock }),
    (client) => client.close(),
  )
  return {
    entries: entryService(client),
    bundles: bundleService(client),
    addBundle: (name) => server.federateWith(name),
    createAdministrator: async ({ selectors, ...wanted }) => {
      const selector = selectors.map(({ type, value }) => `${type}:${value}`)
      await server.createEntry({ ...wanted, selector, admin: true })
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}
