import type { Daemon } from '../daemon.ts'
import { type RegisteredEntry, registeredEntries } from '../registered-entry.ts'
import type { SpireServer } from '../spire.ts'
import type { Told } from './case.ts'
import type { World } from './world.ts'

/** A registrar with a SPIRE server of its own. */
export interface Side {
  readonly world: World
  readonly server: SpireServer
  /** @param configuration - its file but for the server's address */
  readonly start: (configuration: string) => Promise<Daemon>
}

/** An entry without what no two servers have alike: ids, times, the order of what has none. UIDs are the names of their objects. */
export type ComparableEntry = Omit<RegisteredEntry, 'id' | 'created_at' | 'revision_number'>

/** The entries that are about an object, as one side has them now. @param of - {@link import('./case.ts').SideCase.of} */
export async function entriesOf({ server, world }: Side, of: string): Promise<readonly ComparableEntry[]> {
  const entries = await registeredEntries(server)
  const names = await world.names()
  return entries.filter((entry) => subjectsOf(entry, names).includes(of)).map((entry) => comparable(entry, names))
}

/** What no two servers have alike. */
const ownFields: ReadonlySet<string> = new Set(['id', 'created_at', 'revision_number'])
/** What a case tells. */
const toldFields: ReadonlySet<string> = new Set(['spiffe_id', 'dns_names', 'federates_with', 'downstream'])

/** Fields that no type names are kept. */
function without(entry: object, fields: ReadonlySet<string>): object {
  return Object.fromEntries(Object.entries(entry).filter(([field]) => !fields.has(field)))
}

/** What a case tells of an entry. */
export function told({ spiffe_id, dns_names, federates_with, downstream }: ComparableEntry): Required<Told> {
  return { id: spiffe_id.path.slice(1), dnsNames: dns_names, federatesWith: federates_with, downstream }
}

/** Everything else of an entry. */
export function withoutTold(entry: ComparableEntry): object {
  return without(entry, toldFields)
}

/** What an entry is about: what it asks of agents and workloads says it, and its ID. */
function subjectsOf(
  { spiffe_id, selectors }: RegisteredEntry,
  names: ReadonlyMap<string, string>,
): readonly (string | undefined)[] {
  const value = (name: string): string | undefined =>
    selectors.find((selector) => selector.value.startsWith(`${name}:`))?.value.slice(name.length + 1)
  const [node, pod] = [value('agent_node_name'), value('pod-name')]
  return [
    `id${spiffe_id.path}`,
    names.get(value('pod-uid') ?? value('agent_node_uid') ?? ''),
    ...(node === undefined ? [] : [`node/${node}`]),
    ...(pod === undefined ? [] : [`pod/${value('ns')}/${pod}`]),
  ]
}

function comparable(entry: RegisteredEntry, names: ReadonlyMap<string, string>): ComparableEntry {
  const named = entry.selectors.map(({ type, value }) => {
    const [name, uid = ''] = value.split(':')
    const object = names.get(uid)
    return { type, value: object === undefined ? value : `${name}:${object}` }
  })
  return {
    ...(without(entry, ownFields) as ComparableEntry),
    selectors: named.toSorted((a, b) => (`${a.type}:${a.value}` < `${b.type}:${b.value}` ? -1 : 1)),
    federates_with: entry.federates_with.toSorted(),
  }
}
