import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { Pod } from '../../kubernetes/object.ts'
import { pods } from '../../kubernetes/resource.ts'
import { claimedVolume } from '../claimed-volume.ts'
import { type LiveObjects, withFreshPod } from '../live-objects.ts'
import { policyApi } from '../policy/certificate-policy.ts'
import { namespaceOfRequest, type RequestObject } from '../request/request-object.ts'
import { requesterOf } from '../requester.ts'
import type { Drivers } from '../subject.ts'
import { certificatePolicies, subjectAccessReviews } from './resources.ts'

/** A pod by its place. */
export interface PodName {
  readonly namespace: string
  readonly name: string
}

/**
 * The pods that a request is about, as far as it can be told from it: who made it, and whom it is for. They are read live before it is
 * decided.
 */
export function podsOf(request: RequestObject, live: LiveObjects, drivers: Drivers): readonly PodName[] {
  if (request.kind === 'PodCertificateRequest') {
    return [{ namespace: request.object.metadata.namespace ?? '', name: request.object.spec.podName }]
  }
  const requester = requesterOf(request)
  if (requester?.serviceAccount === undefined || requester.pod === undefined) return []
  const own = { namespace: requester.serviceAccount.namespace, name: requester.pod.name }
  if (!drivers.identities.includes(requester.username) || requester.node === undefined) return [own]
  const claim = claimedVolume(request.object.metadata, live.podsOnNode(requester.node), drivers.driverNames)
  const { namespace = '', name = '' } = claim?.pod.metadata ?? {}
  return claim === undefined ? [own] : [own, { namespace, name }]
}

/**
 * What one decision rests on: what was seen, and what is read for it alone. A decision that asks for something else is made again
 * after that was read too.
 */
export class Lookups {
  readonly #client: Pick<KubernetesClient, 'get' | 'create'>
  readonly #request: RequestObject
  readonly #pods = new Map<string, { readonly at: PodName; readonly pod: Pod | undefined }>()
  readonly #mayUse = new Map<string, boolean>()
  readonly #missingPods = new Map<string, PodName>()
  readonly #missingReviews = new Set<string>()

  constructor(client: Pick<KubernetesClient, 'get' | 'create'>, request: RequestObject) {
    this.#client = client
    this.#request = request
  }

  /** The pods that were read, and those that are to be. */
  get podNames(): readonly PodName[] {
    return [...[...this.#pods.values()].map(({ at }) => at), ...this.#missingPods.values()]
  }

  /** Whether the API server was asked who may use a policy, of whose changes nothing tells. */
  get hasReviews(): boolean {
    return this.#mayUse.size > 0
  }

  /** Whether something was asked for that was not read. */
  get isIncomplete(): boolean {
    return this.#missingPods.size > 0 || this.#missingReviews.size > 0
  }

  /** Asks for pods to be read. */
  want(pods: readonly PodName[]): void {
    for (const at of pods) if (!this.#pods.has(keyOf(at))) this.#missingPods.set(keyOf(at), at)
  }

  /**
   * Reads what was asked for, all at once.
   *
   * @throws {ApiError | ConnectionError | CredentialError}
   */
  async read(signal: AbortSignal): Promise<void> {
    const [missingPods, reviews] = [[...this.#missingPods.values()], [...this.#missingReviews]]
    this.#missingPods.clear()
    this.#missingReviews.clear()
    await Promise.all([
      ...missingPods.map(async (at) => {
        this.#pods.set(keyOf(at), { at, pod: await readPod(this.#client, at, signal) })
      }),
      ...reviews.map(async (policy) => {
        this.#mayUse.set(policy, await review(this.#client, policy, this.#request, signal))
      }),
    ])
  }

  /** What was seen, with what was read in its place. It notes what else it is asked for. */
  over(seen: LiveObjects): LiveObjects {
    let live = seen
    for (const { at, pod } of this.#pods.values()) live = withFreshPod(live, at.namespace, at.name, pod)
    return {
      ...live,
      pod: (namespace, name) => {
        this.want([{ namespace, name }])
        return live.pod(namespace, name)
      },
      mayUse: (policy) => {
        const answer = this.#mayUse.get(policy)
        if (answer === undefined) this.#missingReviews.add(policy)
        return answer
      },
    }
  }
}

function keyOf({ namespace, name }: PodName): string {
  return `${namespace}/${name}`
}

/** @returns undefined where there is no such pod, or no such name */
async function readPod(
  client: Pick<KubernetesClient, 'get'>,
  at: PodName,
  signal: AbortSignal,
): Promise<Pod | undefined> {
  try {
    return await client.get(pods, at, { signal })
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}

/** Whether RBAC lets who made a request `use` a policy, in the request's namespace where it has one. */
async function review(
  client: Pick<KubernetesClient, 'create'>,
  policy: string,
  request: RequestObject,
  signal: AbortSignal,
): Promise<boolean> {
  if (request.kind === 'PodCertificateRequest') return false
  const { username, uid, groups, extra } = request.object.spec
  const namespace = namespaceOfRequest(request)
  const { status } = await client.create(
    subjectAccessReviews,
    {
      metadata: {},
      spec: {
        ...(username !== undefined && { user: username }),
        ...(uid !== undefined && { uid }),
        ...(groups !== undefined && { groups }),
        ...(extra !== undefined && { extra }),
        resourceAttributes: {
          group: policyApi.group,
          resource: certificatePolicies.plural,
          name: policy,
          verb: 'use',
          ...(namespace !== undefined && { namespace }),
        },
      },
    },
    { signal },
  )
  return status?.allowed === true
}
