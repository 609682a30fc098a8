import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'
import { systemClock } from '../src/runtime/clock.ts'
import { bundleService } from '../src/spire/bundle-service.ts'
import { entryService } from '../src/spire/entry-service.ts'
import { ServerClient } from '../src/spire/server-client.ts'
import { testEntryService } from './support/entry-service-suite.ts'
import { EntryStore } from './support/entry-store.ts'
import { MemoryEntries } from './support/memory-entries.ts'
import { StandInServer } from './support/spire-server.ts'

describe('the stand-in for a SPIRE server', () => {
  testEntryService(async () => {
    const store = new EntryStore({ trustDomain: 'example.org' })
    const folder = await mkdtemp(join(tmpdir(), 'podpass-spire-'))
    const path = join(folder, 'api.sock')
    const server = new StandInServer({ store })
    await server.listen(path)
    const client = new ServerClient({
      endpoint: { by: 'socket', path },
      trustDomain: 'example.org',
      clock: systemClock,
    })
    return {
      entries: entryService(client),
      bundles: bundleService(client),
      addBundle: async (name) => void store.federated.add(name),
      createAdministrator: async (entry) => void store.create({ ...entry, admin: true }),
      async [Symbol.asyncDispose]() {
        client.close()
        server.kill()
        await rm(folder, { recursive: true })
      },
    }
  })
})

describe('the stand-in for a client of a SPIRE server', () => {
  testEntryService(async () => {
    const store = new EntryStore({ trustDomain: 'example.org' })
    return {
      entries: new MemoryEntries({ store }),
      bundles: {
        async federatedTrustDomains(signal) {
          signal.throwIfAborted()
          return store.federated
        },
      },
      addBundle: async (name) => void store.federated.add(name),
      createAdministrator: async (entry) => void store.create({ ...entry, admin: true }),
      async [Symbol.asyncDispose]() {},
    }
  })
})
