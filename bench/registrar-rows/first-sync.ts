import type { NewEntry, Selector } from '../../src/spire/entry.ts'
import { until } from '../../test/cluster/until.ts'
import { countEntries, entriesSince, type WrittenEntry } from '../entry-table.ts'
import { figure, timesFloor } from '../figure.ts'
import { PeakMemory } from '../peak-memory.ts'
import { cpuTime } from '../process-figures.ts'
import type { RegistrarFloor } from '../registrar-floor.ts'
import {
  account,
  benchPod,
  nodeCount,
  nodeName,
  ownCount,
  podCount,
  type RegistrarGround,
  resident,
  upTo,
} from '../registrar-ground.ts'
import type { Row } from '../row.ts'
import { BenchServer, totalOf } from '../spire-server.ts'
import { Worker } from '../worker.ts'

/** As many as the registrar sends in one call. */
const batch = 500

interface FirstSync {
  /** From the process's start, in seconds. */
  readonly whole: number
  /** From the first entry to the last, in seconds. */
  readonly writing: number
  /** Thereof between the last entry of a call and the first of the next one, in milliseconds: the server has nothing to do. */
  readonly pauses: number
  readonly calls: number
  /** Of the registrar, in seconds. */
  readonly cpu: number
  /** MiB. */
  readonly peak: number
}

export const firstSync: Row<RegistrarGround> = {
  name: 'first-sync',
  summary: `an empty server, until ${podCount} pods have their entries`,
  isDefault: true,
  async run(ground, { repeat = 3, say }) {
    await ground.closeScene()
    const floors: Pick<FirstSync, 'writing' | 'pauses'>[] = []
    const syncs: FirstSync[] = []
    for (let round = 0; round < repeat; round++) {
      const sides = [async () => void floors.push(await floorOf()), async () => void syncs.push(await syncOf(ground))]
      // Each side goes first as often as the other.
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) await side()
      say(`floor ${JSON.stringify(floors.at(-1))}, registrar ${JSON.stringify(syncs.at(-1))}`)
    }
    const title = `first sync, ${podCount} pods`
    const of = (name: keyof FirstSync): number[] => syncs.map((sync) => sync[name])
    const floor = floors.map(({ writing }) => writing)
    return [
      figure({
        title: `${title}, first entry to last`,
        unit: 's',
        samples: of('writing'),
        floor,
        target: timesFloor(1.1),
      }),
      figure({ title: `${title}, from the process's start`, unit: 's', samples: of('whole'), floor }),
      figure({
        title: `${title}, pauses between calls`,
        unit: 'ms',
        samples: of('pauses'),
        floor: floors.map(({ pauses }) => pauses),
      }),
      figure({ title: `${title}, calls`, unit: '', samples: of('calls') }),
      figure({ title: `${title}, CPU of the registrar`, unit: 's', samples: of('cpu') }),
      figure({ title: `${title}, RssAnon at most`, unit: 'MiB', samples: of('peak') }),
    ]
  },
}

async function syncOf(ground: RegistrarGround): Promise<FirstSync> {
  await using server = await BenchServer.start()
  const { database } = server.server
  const before = totalOf(await server.calls())
  await using registrar = await ground.startRegistrar(server)
  using memory = new PeakMemory(registrar.pid)
  await until('all entries', () => countEntries(database) === ownCount, {
    timeout: 300_000,
    // A look takes the server's time; what is measured is read from the rows afterwards.
    interval: 2000,
    orFail: registrar.daemon.failure(),
  })
  const entries = entriesSince(database, 0)
  return {
    whole: ((entries.at(-1)?.written ?? Number.NaN) - registrar.startedAt) / 1000,
    ...writingOf(entries),
    calls: totalOf(await server.calls()) - before,
    cpu: await cpuTime(registrar.pid),
    peak: memory.peak,
  }
}

function writingOf(entries: readonly WrittenEntry[]): Pick<FirstSync, 'writing' | 'pauses'> {
  const [first, last] = [entries[0]?.began ?? Number.NaN, entries.at(-1)?.written ?? Number.NaN]
  const pauses = entries.map((entry, index) => {
    const before = index % batch === 0 ? entries[index - 1] : undefined
    return before === undefined ? 0 : entry.began - before.written
  })
  return { writing: (last - first) / 1000, pauses: pauses.reduce((sum, pause) => sum + pause, 0) }
}

async function floorOf(): Promise<Pick<FirstSync, 'writing' | 'pauses'>> {
  await using server = await BenchServer.start()
  const floor = await Worker.start<RegistrarFloor>('registrar-floor.ts')
  try {
    await floor.call('create', server.server.socket, floorEntries(), batch)
    return writingOf(entriesSince(server.server.database, 0))
  } finally {
    await floor.close()
  }
}

/** What the registrar makes of the cluster, under other ids. */
function floorEntries(): readonly NewEntry[] {
  const aliasOf = (node: string): string => `spiffe://example.org/spire-k8s-registrar/demo/node/${node}`
  const aliases = upTo(nodeCount).map((index) =>
    floorEntry(index, aliasOf(nodeName(index)), 'spiffe://example.org/spire/server', [
      { type: 'k8s_psat', value: 'cluster:demo' },
      { type: 'k8s_psat', value: `agent_node_name:${nodeName(index)}` },
    ]),
  )
  const workloads = upTo(podCount).map((index) => {
    const { namespace, name, nodeName } = benchPod(resident, index)
    return floorEntry(nodeCount + index, `spiffe://example.org/ns/${namespace}/sa/${account}`, aliasOf(nodeName), [
      { type: 'k8s', value: `ns:${namespace}` },
      { type: 'k8s', value: `pod-name:${name}` },
    ])
  })
  return [...aliases, ...workloads]
}

function floorEntry(index: number, spiffeId: string, parentId: string, selectors: readonly Selector[]): NewEntry {
  const id = `podpass.demo.${String(index).padStart(32, '0')}`
  return { id, spiffeId, parentId, selectors, dnsNames: [], federatesWith: [], downstream: false }
}
