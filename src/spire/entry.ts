/** What a workload or node has to show to get an entry's identity, such as `k8s` with `ns:shop`. */
export interface Selector {
  readonly type: string
  readonly value: string
}

/**
 * What a registrar decides of a registration entry (spire.api.types.Entry). What is not here (TTLs, admin, hint, …) is left as the
 * server has it. IDs are whole: `spiffe://example.org/ns/shop/sa/web`.
 */
export interface EntrySpec {
  readonly spiffeId: string
  readonly parentId: string
  /** A set: their order means nothing. */
  readonly selectors: readonly Selector[]
  /** In order: SPIRE makes the first the certificate's common name. */
  readonly dnsNames: readonly string[]
  /** Names of trust domains, without a scheme. A set. */
  readonly federatesWith: readonly string[]
  readonly downstream: boolean
}

/** A registration entry as the server holds it. */
export interface Entry extends EntrySpec {
  /** 1 to 255 of `[A-Za-z0-9-._]`, chosen by whoever created it, or a UUID by the server. */
  readonly id: string
  /** Goes up with every update, also by one that changes nothing. */
  readonly revision: bigint
  /** Gives its holder the rights of an administrator of the server. Never written by a registrar. */
  readonly admin: boolean
}

/** The fields of an entry that an update may be limited to. */
export type EntryField = keyof EntrySpec

/** An entry to create. */
export interface NewEntry extends EntrySpec {
  readonly id: string
}

/** An entry to change: only `fields` are written. What is not among them is what the caller knows of the entry. */
export interface EntryUpdate extends EntrySpec {
  readonly id: string
  readonly fields: readonly EntryField[]
}

/**
 * What became of one item of a batch. The batch's call itself succeeded, and each item has its own outcome.
 *
 * `entry` is what the server holds now: for OK what was written, for ALREADY_EXISTS (6) the similar entry that stands in the way where
 * the server names it (same SPIFFE ID, parent and selectors), and nothing where it does not (the id is taken).
 */
export interface EntryResult {
  /** A gRPC status code: 0 for OK. */
  readonly code: number
  readonly message: string
  readonly entry?: Entry
}

export interface DeleteResult {
  readonly code: number
  readonly message: string
  readonly id: string
}

/** Which entries to list; all that is given must hold. Nothing given is every entry of the server. */
export interface EntryFilter {
  readonly parentId?: string
  readonly spiffeId?: string
  /** The selector set, exactly. */
  readonly selectors?: readonly Selector[]
}

/**
 * The part of a SPIRE server's Entry API that a registrar needs. Every call rejects with a {@link import('./errors.ts').SpireError}.
 *
 * Not atomic: a call that fails may have been carried out in part, or whole.
 */
export interface EntryService {
  /** Pages of entries in the order of the server; what changes meanwhile may or may not be seen. */
  list(filter: EntryFilter, signal: AbortSignal): AsyncIterable<readonly Entry[]>
  /** @returns one result an entry, in the same order */
  create(entries: readonly NewEntry[], signal: AbortSignal): Promise<readonly EntryResult[]>
  /** @returns one result an entry, in the same order */
  update(updates: readonly EntryUpdate[], signal: AbortSignal): Promise<readonly EntryResult[]>
  /** @returns one result an id, in the same order */
  delete(ids: readonly string[], signal: AbortSignal): Promise<readonly DeleteResult[]>
}

/** The part of a SPIRE server's Bundle API that a registrar needs. */
export interface BundleService {
  /** The names of the trust domains whose bundles the server holds, besides its own: the only ones that an entry may federate with. */
  federatedTrustDomains(signal: AbortSignal): Promise<ReadonlySet<string>>
}
