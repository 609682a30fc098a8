import { createHash } from 'node:crypto'

/** Where the ids of a registrar's entries come from: two clusters, or two registrars, that share a server never make the same. */
export interface EntryIdScheme {
  /** Of `[A-Za-z0-9-._]`. */
  readonly prefix: string
  /** Of `[A-Za-z0-9-._]`: also segments of SPIFFE IDs have no other characters. */
  readonly cluster: string
}

/** Hexadecimal digits of the hash at an id's end: 128 bits. */
const digits = 32
/** The longest id that a server takes. */
const longestId = 255

/**
 * The id of an object's entry. The same for every process, so that a create that is sent twice creates once.
 *
 * @param incarnation - tells objects apart that had the same name one after the other, such as a pod's UID
 * @param attempt - counts the entries of this object that are known to be gone. Agents know an entry by id and revision, and older
 * ones take a new entry under a used id for the old one (spire#5764): an id is never used again
 * @returns `<prefix>.<cluster>.<32 hexadecimal digits>`
 */
export function entryId(scheme: EntryIdScheme, key: string, incarnation: string, attempt: number): string {
  return idStart(scheme) + hashOf(JSON.stringify([key, incarnation, attempt]))
}

/** Whether an id is one that {@link entryId} makes for this cluster, and not for one whose name goes on where this one's ends. */
export function isOwnEntryId(scheme: EntryIdScheme, id: string): boolean {
  const start = idStart(scheme)
  return id.startsWith(start) && id.length === start.length + digits && /^[0-9a-f]+$/.test(id.slice(start.length))
}

/** Names that are too long for an id stand there as their hash. */
function idStart({ prefix, cluster }: EntryIdScheme): string {
  const start = `${prefix}.${cluster}.`
  return start.length + digits <= longestId ? start : `${hashOf(start)}.`
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits)
}
