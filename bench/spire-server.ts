import { type Claim, claimPort } from '../test/cluster/claim.ts'
import { SpireServer } from '../test/cluster/spire.ts'

/** How many calls of the Entry API there were, by method. */
export interface EntryCalls {
  readonly create: number
  readonly update: number
  readonly delete: number
  /** Pages, of which a full listing has one for each thousand of entries. */
  readonly list: number
}

export function totalOf({ create, update, delete: deleted, list }: EntryCalls): number {
  return create + update + deleted + list
}

/** @returns what was called after `before` */
export function callsSince(before: EntryCalls, after: EntryCalls): EntryCalls {
  return {
    create: after.create - before.create,
    update: after.update - before.update,
    delete: after.delete - before.delete,
    list: after.list - before.list,
  }
}

/** A real SPIRE server as it is run in production, with its metrics. */
export class BenchServer {
  readonly server: SpireServer
  readonly #metrics: string
  readonly #claim: Claim

  private constructor(server: SpireServer, metrics: string, claim: Claim) {
    this.server = server
    this.#metrics = metrics
    this.#claim = claim
  }

  static async start(): Promise<BenchServer> {
    const { port, claim } = await claimPort()
    try {
      const server = await SpireServer.start({ production: { metricsPort: port } })
      return new BenchServer(server, `http://127.0.0.1:${port}/metrics`, claim)
    } catch (error) {
      await claim.close()
      throw error
    }
  }

  /** As the server itself counts them, since it was started. */
  async calls(): Promise<EntryCalls> {
    const text = await (await fetch(this.#metrics)).text()
    const sum = (method: string): number => sumOf(text, `spire_server_rpc_entry_v1_entry_${method}`)
    return {
      create: sum('batch_create_entry'),
      update: sum('batch_update_entry'),
      delete: sum('batch_delete_entry'),
      list: sum('list_entries'),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close()
    await this.#claim.close()
  }
}

/**
 * Sums the series of a metric in the Prometheus text format.
 *
 * @param labels - texts that must stand among its labels, such as `method="create"`
 */
export function sumOf(text: string, name: string, ...labels: readonly string[]): number {
  let sum = 0
  for (const [, found = '', value] of text.matchAll(new RegExp(`^${name}(\\{.*\\})? (\\S+)$`, 'gm'))) {
    if (labels.every((label) => found.includes(label))) sum += Number(value)
  }
  return sum
}
