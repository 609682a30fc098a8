// What the SPIRE server itself needs: a bare client that creates entries and looks at nothing. In a process of its own, as the registrar.
import { systemClock } from '../src/runtime/clock.ts'
import type { NewEntry } from '../src/spire/entry.ts'
import { entryService } from '../src/spire/entry-service.ts'
import { ServerClient } from '../src/spire/server-client.ts'
import { serve } from './worker.ts'

const methods = {
  async create(socket: string, entries: readonly NewEntry[], batch: number): Promise<void> {
    const endpoint = { by: 'socket', path: socket } as const
    const client = new ServerClient({ endpoint, trustDomain: 'example.org', clock: systemClock })
    const service = entryService(client)
    const { signal } = new AbortController()
    for (let first = 0; first < entries.length; first += batch) {
      const results = await service.create(entries.slice(first, first + batch), signal)
      const refused = results.find(({ code }) => code !== 0)
      if (refused !== undefined) throw new Error(refused.message)
    }
    client.close()
  },
}

export type RegistrarFloor = typeof methods

serve(methods)
