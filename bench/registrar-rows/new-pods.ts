import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../test/cluster/until.ts'
import { countEntries, entriesSince, lastEntry } from '../entry-table.ts'
import { type BenchPod, benchPod, type RegistrarGround, upTo } from '../registrar-ground.ts'
import { type BenchServer, callsSince, type EntryCalls } from '../spire-server.ts'

/** What became of pods that were created while somebody made entries for them. */
export interface NewPods {
  readonly pods: readonly BenchPod[]
  /** From the API server's acknowledgement of a pod to its entry in the database, in milliseconds, in the pods' order. */
  readonly latencies: readonly number[]
  /** From the last acknowledgement to the last entry, in milliseconds. */
  readonly tail: number
  /** From the first acknowledgement to the last entry, in seconds. */
  readonly seconds: number
  /** As the server counts them. */
  readonly calls: EntryCalls
  /**
   * From an entry's last row to the next one's first, in milliseconds, where the two came in one call: the commit is within that, so
   * latencies may be as much too short.
   */
  readonly commits: readonly number[]
}

/**
 * Creates pods and waits for their entries.
 *
 * @param spacing - milliseconds from one pod to the next; 0 for all at once
 */
export async function newPods(
  ground: RegistrarGround,
  server: BenchServer,
  prefix: string,
  count: number,
  spacing: number,
): Promise<NewPods> {
  const { database } = server.server
  const pods = upTo(count).map((index) => benchPod(prefix, index))
  const [last, entries, callsBefore] = [lastEntry(database), countEntries(database), await server.calls()]
  const started = performance.now()
  const created = await Promise.all(
    pods.map(async (pod, index) => {
      if (spacing > 0) await delay(Math.max(0, started + index * spacing - performance.now()))
      return await ground.createPod(pod)
    }),
  )
  await until('the entries', () => countEntries(database) >= entries + count, { timeout: 300_000, interval: 250 })
  const calls = callsSince(callsBefore, await server.calls())
  const rows = entriesSince(database, last)
  const written = new Map(rows.map((row) => [row.pod, row.written]))
  const end = Math.max(...written.values())
  return {
    pods,
    latencies: pods.map(({ name }, index) => (written.get(name) ?? Number.NaN) - (created[index] ?? Number.NaN)),
    tail: end - Math.max(...created),
    seconds: (end - Math.min(...created)) / 1000,
    calls,
    commits: rows.flatMap((row, index) => {
      const gap = (rows[index + 1]?.began ?? Number.NaN) - row.written
      return gap < 5 ? [gap] : []
    }),
  }
}
