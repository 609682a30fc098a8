import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { Entry } from '../../spire/entry.ts'
import type { RegistrarConfig } from '../config/registrar-config.ts'
import type { SpiffeIdSource } from '../crd/spiffe-id-source.ts'
import { spiffeIdKey } from '../crd/spiffe-id-resource.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import type { Identity } from '../desired/identity-text.ts'
import { ownershipOf } from '../live/entry-owner.ts'
import { nodeKey, podKey } from '../live/object-keys.ts'
import { PodSource } from '../live/pod-source.ts'
import { keptKeys } from '../observe.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import type { SyncSource } from '../sync/sync-options.ts'
import { type ClusterListing, ClusterSnapshot } from './cluster-snapshot.ts'
import { usesAddresses } from './list-cluster.ts'
import { otherRegistrars } from './other-registrars.ts'
import { planSpiffeIds, type SpiffeIdPlan } from './plan-spiffe-ids.ts'

export interface PlanSourceOptions {
  readonly config: RegistrarConfig
  /** Of the same configuration. */
  readonly rules: IdentityRules
  /** The registrar's own. */
  readonly namespace: string
  /** The registrar's own SPIFFE ID; undefined where it has none or it is not known. */
  readonly ownId: string | undefined
  readonly listing: ClusterListing
  /** The trust domains that the server has bundles of; undefined where that is not known, and then none is left out. */
  readonly bundles: ReadonlySet<string> | undefined
  /** Whether entries of other registrars are compared as if they were this one's. */
  readonly adopt: boolean
  /** Epoch milliseconds. */
  readonly now: number
}

/** What a plan is made of: the very source that a running registrar has in its mode, over objects of one moment. */
export interface PlanSource {
  readonly objects: ClusterSnapshot
  readonly source: Omit<SyncSource, 'confirmGone'>
  readonly settled: (key: string, outcome: KeyOutcome) => boolean
  /** In crd mode: SpiffeIDs that are to be written first. The source has them already. */
  readonly spiffeIds: SpiffeIdPlan | undefined
  /** In crd mode: SpiffeIDs as they are to be. */
  readonly resources: SpiffeIdSource | undefined
  /** The registrar's own, by the rules that a running one has: nothing of others. */
  readonly isOwned: (entry: Entry) => boolean
  readonly keyOfPod: (pod: Pick<ObservedPod, 'namespace' | 'name'>) => string
  readonly keyOfNode: (node: Pick<ObservedNode, 'name'>) => string
}

/** A plan looks at nothing but what it was given. */
const nothingElse: Pick<KubernetesClient, 'get' | 'pages'> = {
  get: () => Promise.reject(new Error('a plan asks the API server for nothing')),
  // oxlint-disable-next-line require-yield -- it fails before
  async *pages() {
    throw new Error('a plan asks the API server for nothing')
  },
}

export function planSource(options: PlanSourceOptions): PlanSource {
  const { config, rules, ownId, listing, bundles } = options
  const objects = new ClusterSnapshot(listing, usesAddresses(rules))
  if (config.mode === 'crd') {
    const { resources, ...spiffeIds } = planSpiffeIds({ ...options, config, objects, client: nothingElse })
    const inNamespace = (namespace: string, name: string): string => spiffeIdKey({ namespace, name })
    return withOthers(options, {
      objects,
      source: bound(resources),
      settled: (key, outcome) => resources.settled(key, outcome),
      spiffeIds,
      resources,
      isOwned: (entry) => resources.keyOf(entry) !== undefined,
      keyOfPod: ({ namespace, name }) => inNamespace(namespace, name),
      keyOfNode: ({ name }) => inNamespace(options.namespace, name),
    })
  }
  const source = new PodSource({
    client: nothingElse,
    rules,
    keys: keptKeys(rules),
    ownership: ownershipOf(rules, { prefix: config.entryIdPrefix, cluster: config.cluster }, ownId),
    objects,
    bundles: () => bundles,
  })
  return withOthers(options, {
    objects,
    source: bound(source),
    settled: () => false,
    spiffeIds: undefined,
    resources: undefined,
    isOwned: (entry) => source.keyOf(entry) !== undefined,
    keyOfPod: ({ namespace, name }) => podKey(namespace, name),
    keyOfNode: ({ name }) => nodeKey(name),
  })
}

/** Methods as functions. */
function bound(source: Omit<SyncSource, 'confirmGone'>): PlanSource['source'] {
  return {
    keys: () => source.keys(),
    render: (key) => source.render(key),
    keyOf: (entry) => source.keyOf(entry),
    incarnation: (key) => source.incarnation(key),
    rank: (key) => source.rank(key),
  }
}

function withOthers({ adopt, rules, ownId }: PlanSourceOptions, plan: PlanSource): PlanSource {
  if (!adopt) return plan
  const { source, objects, keyOfPod, keyOfNode } = plan
  const theirs = otherRegistrars({ rules, ownId, objects, keyOfPod, keyOfNode, identities: identitiesOf(source) })
  return { ...plan, source: { ...source, keyOf: (entry) => source.keyOf(entry) ?? theirs(entry) } }
}

function* identitiesOf(source: PlanSource['source']): Generator<readonly [string, Identity], void, void> {
  for (const key of source.keys()) {
    const rendering = source.render(key)
    if (rendering.is === 'entry') yield [key, rendering.spec]
  }
}
