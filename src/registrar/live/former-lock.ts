import type { CallOptions } from '../../kubernetes/client-options.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { KubernetesObject, Lease, ObjectName } from '../../kubernetes/object.ts'
import { configMaps, type Resource } from '../../kubernetes/resource.ts'
import type { LeaderElectionConfig } from '../config/registrar-config.ts'

/** client-go resourcelock.LeaderElectionRecordAnnotationKey: where a lock was kept before there were Leases. */
const recordAnnotation = 'control-plane.alpha.kubernetes.io/leader'

/** client-go resourcelock.LeaderElectionRecord. Times have seconds. */
interface LeaderRecord {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaderTransitions?: number
}

const endpoints: Resource = { group: '', version: 'v1', plural: 'endpoints', kind: 'Endpoints', namespaced: true }

/** The objects in which a lock may be kept besides a Lease. */
export const formerLocks: Readonly<Record<NonNullable<LeaderElectionConfig['formerLock']>, Resource>> = {
  configmaps: configMaps,
  endpoints,
}

type LeaseCalls = Pick<KubernetesClient, 'get' | 'create' | 'update'>

/**
 * Makes an older lock look like a Lease, so that it is stood for and held by the same rules: the record is an annotation of the object,
 * and everything else of the object stays.
 *
 * @returns the calls of a client that {@link import('../../kubernetes/lease.ts').runAsLeader} makes
 */
export function formerLockClient(client: LeaseCalls, resource: Resource): LeaseCalls {
  // What was read last, because a write must hold everything that the object had.
  let last: KubernetesObject = { metadata: {} }
  const seen = (object: KubernetesObject): Lease => {
    last = object
    return leaseOf(object)
  }
  const calls = {
    get: async (_: unknown, name: ObjectName, options?: CallOptions) => seen(await client.get(resource, name, options)),
    create: async (_: unknown, lease: Lease, options?: CallOptions) =>
      seen(await client.create(resource, withRecord({ metadata: lease.metadata }, lease), options)),
    update: async (_: unknown, lease: Lease, options?: CallOptions) =>
      seen(await client.update(resource, withRecord(last, lease), options)),
  }
  return calls as unknown as LeaseCalls
}

function leaseOf({ metadata }: KubernetesObject): Lease {
  const record = readRecord(metadata.annotations?.[recordAnnotation])
  const { leaderTransitions, ...rest } = record
  return {
    metadata,
    spec: { ...rest, ...(leaderTransitions !== undefined && { leaseTransitions: leaderTransitions }) },
  }
}

/** A record that nobody can read is held by nobody, as for client-go, which takes a lock without one. */
function readRecord(text: string | undefined): LeaderRecord {
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function withRecord(object: KubernetesObject, { spec = {} }: Lease): KubernetesObject {
  const { leaseTransitions, acquireTime, renewTime, ...rest } = spec
  const record: LeaderRecord = {
    ...rest,
    ...(acquireTime !== undefined && { acquireTime: inSeconds(acquireTime) }),
    ...(renewTime !== undefined && { renewTime: inSeconds(renewTime) }),
    leaderTransitions: leaseTransitions ?? 0,
  }
  const annotations = { ...object.metadata.annotations, [recordAnnotation]: JSON.stringify(record) }
  return { ...object, metadata: { ...object.metadata, annotations } }
}

function inSeconds(time: string): string {
  return time.replace(/\.\d+Z$/, 'Z')
}
