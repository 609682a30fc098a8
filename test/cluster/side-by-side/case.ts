import type { MadeObject } from './objects.ts'
import type { World } from './world.ts'

/** What of an entry a case tells; everything else of it is compared, too. */
export interface Told {
  /** The path of the SPIFFE ID, without its leading slash. */
  readonly id: string
  /** In order. @default {[]} */
  readonly dnsNames?: readonly string[]
  /** In alphabetical order. @default {[]} */
  readonly federatesWith?: readonly string[]
  /** @default {false} */
  readonly downstream?: boolean
}

/** Where docs/registrar-compatibility.md explains a difference. */
export interface Difference {
  /** The heading. */
  readonly under: string
  /** The first cell of the row: what the old registrar does. */
  readonly row: string
}

/** The entry that each registrar makes. */
export type Outcome =
  | { readonly both: Told | 'none' }
  | { readonly old: Told | 'none'; readonly podpass: Told | 'none'; readonly because: Difference }

/** One object, or one constellation of objects, before which both registrars are put. */
export interface SideCase {
  readonly name: string
  /** Whose entry it is about: `pod/<namespace>/<name>`, `node/<name>` or `id/<path>`. */
  readonly of: string
  /** There before the registrars start. @default {[]} */
  readonly objects?: readonly MadeObject[]
  /** What comes of them. */
  readonly first: Outcome
  /** What happens to them while both registrars run, and what comes of that. */
  readonly afterwards?: { readonly change: (world: World) => Promise<void>; readonly outcome: Outcome }
}
