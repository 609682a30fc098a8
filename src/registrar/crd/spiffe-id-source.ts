import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { Entry } from '../../spire/entry.ts'
import type { Rendering } from '../rendering.ts'
import { type EntryIdScheme, isOwnEntryId } from '../sync/entry-id.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import type { SyncSource } from '../sync/sync-options.ts'
import { type FormerLayout, formerOwner } from './former-entries.ts'
import { IdentityHolders } from './identity-holders.ts'
import { isReadable, readSpiffeId, selectorsOf, type SpiffeIdResource } from './read-spiffe-id.ts'
import { type EntrySurroundings, spiffeIdEntry } from './spiffe-id-entry.ts'
import { spiffeIdKey, spiffeIds } from './spiffe-id-resource.ts'
import { isLawful, type SpiffeIdRules, summarize, type Violation, violationsOf } from './spiffe-id-rules.ts'

export interface SpiffeIdSourceOptions {
  readonly rules: Omit<SpiffeIdRules, 'isNamedAlias'>
  readonly ids: EntryIdScheme
  readonly former: FormerLayout
  /** The registrar's own SPIFFE ID: the entry that lets it in is never touched. */
  readonly ownId: string | undefined
  readonly surroundings: (resource: SpiffeIdResource) => EntrySurroundings
  readonly client: Pick<KubernetesClient, 'get' | 'pages'>
}

/** Entries whose SpiffeID is gone are kept by their own id until they are deleted. */
const orphanPrefix = 'entry/'
/** How many objects are asked for at once. */
const mostReads = 16

/** SpiffeIDs as the synchronisation sees them: what each should have, and which entry is whose. */
export class SpiffeIdSource implements SyncSource {
  readonly rules: SpiffeIdRules
  readonly #options: SpiffeIdSourceOptions
  readonly #resources = new Map<string, SpiffeIdResource>()
  readonly #holders = new IdentityHolders()
  /** Keys by the entry that a status names. */
  readonly #claims = new Map<string, Set<string>>()
  /** Keys by the UID of the object that a SpiffeID was made for. */
  readonly #ofOwners = new Map<string, string>()
  /** Keys by namespace and UID of the pod that a SpiffeID is for, as its label says. */
  readonly #ofPods = new Map<string, Set<string>>()
  /** How many SpiffeIDs of the registrar's namespace make an alias of an ID. */
  readonly #aliases = new Map<string, number>()
  /** SpiffeIDs that break a rule, as does the entry that they have: it is no good one that could stay. */
  readonly #unlawful = new Set<string>()

  constructor(options: SpiffeIdSourceOptions) {
    this.#options = options
    this.rules = { ...options.rules, isNamedAlias: (id) => this.#aliases.has(id) }
  }

  /**
   * A SpiffeID is there, in this form.
   *
   * @returns the keys of everything whose entry may have to be another one
   */
  show(resource: SpiffeIdResource): ReadonlySet<string> {
    const key = spiffeIdKey(resource)
    const before = this.#resources.get(key)
    const isSame = before !== undefined && before.uid === resource.uid && before.generation === resource.generation
    if (before !== undefined) this.#unlink(key, before)
    if (!isSame) this.#unlawful.delete(key)
    this.#resources.set(key, resource)
    this.#link(key, resource)
    // A status that was written, by us more often than not, changes nothing.
    const dirty = isSame && before.terminating === resource.terminating ? [] : [key]
    return new Set([
      ...dirty,
      ...this.#claim(key, resource),
      ...this.#claimUnder(before),
      ...this.#claimUnder(resource),
    ])
  }

  /** @returns the keys of everything whose entry may have to be another one */
  remove(resource: SpiffeIdResource): ReadonlySet<string> {
    const key = spiffeIdKey(resource)
    const before = this.#resources.get(key)
    if (before?.uid !== resource.uid) return new Set()
    this.#unlink(key, before)
    this.#resources.delete(key)
    this.#unlawful.delete(key)
    return new Set([key, ...this.#holders.release(key), ...this.#claimUnder(before)])
  }

  get(key: string): SpiffeIdResource | undefined {
    return this.#resources.get(key)
  }

  /**
   * The SpiffeIDs that are for a pod: their keys.
   *
   * @param pod - `<namespace>/<uid>`
   */
  ofPod(pod: string): Iterable<string> {
    return this.#ofPods.get(pod) ?? []
  }

  /** The rule that a SpiffeID breaks; that another one has the same is such a rule, too. */
  violation(resource: SpiffeIdResource): Violation | undefined {
    const own = this.#ownViolation(resource)
    if (own !== undefined || !isReadable(resource.spec)) return own
    return this.duplicate(resource, resource.spec)
  }

  /** @returns what is wrong where another SpiffeID, an older one, asks for the same entry */
  duplicate(
    { namespace, name }: Pick<SpiffeIdResource, 'namespace' | 'name'>,
    spec: Extract<SpiffeIdResource['spec'], { spiffeId: string }>,
  ): Violation | undefined {
    const holder = this.#holders.holder({ ...spec, selectors: selectorsOf(spec.selector) })
    if (holder === undefined || holder === spiffeIdKey({ namespace, name })) return undefined
    const other = holder.slice(holder.indexOf('/') + 1)
    const message = `Duplicate detected: SpiffeID ${other} has the same SPIFFE ID, parent and selectors`
    return { reason: 'Duplicate', message }
  }

  /**
   * Told of each outcome.
   *
   * @returns whether the SpiffeID has to be looked at again: it breaks a rule, and so does the entry that was kept for it
   */
  settled(key: string, outcome: KeyOutcome): boolean {
    const resource = this.#resources.get(key)
    if (resource === undefined || outcome.is !== 'problem' || outcome.entry === undefined) return false
    if (this.#unlawful.has(key) || isLawful(outcome.entry, resource.namespace, this.rules)) return false
    this.#unlawful.add(key)
    return true
  }

  keys(): Iterable<string> {
    return this.#resources.keys()
  }

  render(key: string): Rendering {
    const resource = this.#resources.get(key)
    if (resource === undefined) return { is: 'none', reason: 'there is no SpiffeID' }
    if (resource.terminating) return { is: 'none', reason: 'the SpiffeID is being deleted' }
    const violation = this.violation(resource)
    if (violation !== undefined) {
      const { message } = violation
      return this.#unlawful.has(key) ? { is: 'none', reason: message } : { is: 'problem', problem: message }
    }
    if (!isReadable(resource.spec)) return { is: 'problem', problem: resource.spec.problems.join('; ') }
    return spiffeIdEntry(resource.spec, this.#options.surroundings(resource))
  }

  keyOf(entry: Entry): string | undefined {
    const { ids, former, ownId } = this.#options
    if (entry.admin || entry.spiffeId === ownId) return undefined
    const claims = [...(this.#claims.get(entry.id) ?? [])].filter((key) => this.#mayClaim(key, entry))
    const owner = formerOwner(entry, former)
    // That a SpiffeID asks for just this does not make it ours: somebody may have made it by hand.
    if (claims.length === 0 && owner === undefined && !isOwnEntryId(ids, entry.id)) return undefined
    const lasting = claims.find((key) => this.#resources.get(key)?.terminating === false)
    return (
      this.#holders.holder(entry) ?? lasting ?? claims[0] ?? this.#ofOwners.get(owner ?? '') ?? orphanPrefix + entry.id
    )
  }

  incarnation(key: string): string | undefined {
    return this.#resources.get(key)?.uid
  }

  rank(key: string): 0 | 1 {
    const resource = this.#resources.get(key)
    return resource !== undefined && aliasOf(resource) !== undefined ? 0 : 1
  }

  async confirmGone(keys: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const gone = new Set<string>()
    const asked: string[] = []
    const orphans: string[] = []
    for (const key of keys) {
      // A deletion that has begun cannot be called off.
      if (this.#resources.get(key)?.terminating) gone.add(key)
      else (key.startsWith(orphanPrefix) ? orphans : asked).push(key)
    }
    for (let start = 0; start < asked.length; start += mostReads) {
      const slice = asked.slice(start, start + mostReads)
      const wants = await Promise.all(slice.map((key) => this.#wantsEntry(key, signal)))
      for (const [index, key] of slice.entries()) if (wants[index] === false) gone.add(key)
    }
    if (orphans.length > 0) {
      const claimed = await this.#claimedEntries(signal)
      for (const key of orphans) if (!claimed.has(key.slice(orphanPrefix.length))) gone.add(key)
    }
    return gone
  }

  /** Whether the SpiffeID, as it is at this moment, may have an entry. */
  async #wantsEntry(key: string, signal: AbortSignal): Promise<boolean> {
    const [, namespace, name = ''] = key.split('/')
    try {
      const resource = readSpiffeId(await this.#options.client.get(spiffeIds, { namespace, name }, { signal }))
      return !resource.terminating && !(this.#unlawful.has(key) && this.violation(resource) !== undefined)
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false
      throw error
    }
  }

  /** The entries that SpiffeIDs name in their status at this moment. */
  async #claimedEntries(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const claimed = new Set<string>()
    for await (const { items } of this.#options.client.pages(spiffeIds, { signal }))
      for (const { status } of items) if (status?.entryId) claimed.add(status.entryId)
    return claimed
  }

  /** The rules that a SpiffeID breaks by itself. */
  #ownViolation({ namespace, spec }: SpiffeIdResource): Violation | undefined {
    if (!isReadable(spec)) return { reason: 'Invalid', message: spec.problems.join('; ') }
    return summarize(violationsOf({ namespace, spec }, this.rules))
  }

  /**
   * Asks for the identity of a SpiffeID. One that is going, or that may not have it, holds none against others.
   *
   * @returns the keys of others that hold something else than before
   */
  #claim(key: string, resource: SpiffeIdResource): readonly string[] {
    const { spec, uid, createdAt, terminating } = resource
    const mayHold = !terminating && isReadable(spec) && this.#ownViolation(resource) === undefined
    const identity = mayHold ? { ...spec, selectors: selectorsOf(spec.selector) } : undefined
    return this.#holders.claim({ key, uid, createdAt }, identity)
  }

  /** Workloads under an alias that is named, or no longer: their parent is allowed, or not. Those of single nodes always are. */
  #claimUnder(resource: SpiffeIdResource | undefined): readonly string[] {
    const alias = resource && this.#namedAlias(resource)
    if (alias === undefined || alias.startsWith(`${this.#options.former.aliasRoot}/`)) return []
    const changed: string[] = []
    for (const [key, other] of this.#resources) {
      if (isReadable(other.spec) && other.spec.parentId === alias) changed.push(key, ...this.#claim(key, other))
    }
    return changed
  }

  /**
   * Whether a status that names an entry is believed. Who may write the status of SpiffeIDs in one namespace could otherwise have the
   * entries of others deleted.
   */
  #mayClaim(key: string, entry: Entry): boolean {
    const resource = this.#resources.get(key)
    if (resource === undefined) return false
    const { namespace } = resource
    if (namespace === this.rules.namespace) return true
    return entry.selectors.some(({ type, value }) => type === 'k8s' && value === `ns:${namespace}`)
  }

  #link(key: string, resource: SpiffeIdResource): void {
    const { controller, namespace, podUid, status } = resource
    if (status.entryId) addTo(this.#claims, status.entryId, key)
    if (podUid !== undefined) addTo(this.#ofPods, `${namespace}/${podUid}`, key)
    if (controller !== undefined) this.#ofOwners.set(controller.uid, key)
    const alias = this.#namedAlias(resource)
    if (alias !== undefined) this.#aliases.set(alias, (this.#aliases.get(alias) ?? 0) + 1)
  }

  #unlink(key: string, resource: SpiffeIdResource): void {
    const { controller, namespace, podUid, status } = resource
    if (status.entryId) removeFrom(this.#claims, status.entryId, key)
    if (podUid !== undefined) removeFrom(this.#ofPods, `${namespace}/${podUid}`, key)
    if (controller !== undefined && this.#ofOwners.get(controller.uid) === key) this.#ofOwners.delete(controller.uid)
    const alias = this.#namedAlias(resource)
    if (alias === undefined) return
    const rest = (this.#aliases.get(alias) ?? 1) - 1
    if (rest === 0) this.#aliases.delete(alias)
    else this.#aliases.set(alias, rest)
  }

  /** An alias that may be the parent of workloads anywhere. */
  #namedAlias(resource: SpiffeIdResource): string | undefined {
    return resource.namespace === this.rules.namespace && !resource.terminating ? aliasOf(resource) : undefined
  }
}

function addTo(sets: Map<string, Set<string>>, name: string, key: string): void {
  const keys = sets.get(name)
  if (keys === undefined) sets.set(name, new Set([key]))
  else keys.add(key)
}

function removeFrom(sets: Map<string, Set<string>>, name: string, key: string): void {
  const keys = sets.get(name)
  keys?.delete(key)
  if (keys?.size === 0) sets.delete(name)
}

/** The ID that a SpiffeID gives to nodes; undefined where it is one for workloads. */
function aliasOf({ spec }: SpiffeIdResource): string | undefined {
  if (!isReadable(spec)) return undefined
  const { cluster, agent_node_uid: node } = spec.selector
  return cluster === undefined && node === undefined ? undefined : spec.spiffeId
}
