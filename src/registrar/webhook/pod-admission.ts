import type { Pod } from '../../kubernetes/object.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { AdmissionAnswer, AdmissionRequest } from './admission-review.ts'
import type { AdmissionHandler } from './webhook-server.ts'

/** What became of a pod's entry while its admission waited. */
export type Registration =
  /** The server holds the entry. */
  | { readonly is: 'registered' }
  /** The pod gets no entry, or not here and now: its namespace has none, it has no label, it is not scheduled, another replica writes. */
  | { readonly is: 'none' }
  /** @param problem - a sentence: what keeps the pod from its entry */
  | { readonly is: 'problem'; readonly problem: string }

export interface PodAdmissionOptions {
  /** Exact names. */
  readonly disabledNamespaces: readonly string[]
  /** Whether trouble refuses the pod, in that the API server gets no answer and its failurePolicy decides. */
  readonly failClosed: boolean
  /** How long a pod may be kept waiting, in milliseconds; well below the `timeoutSeconds` of the webhook's configuration. */
  readonly budget: number
  /**
   * Makes the entry of a pod that does not exist yet.
   *
   * @param signal - ends the wait, not the making
   */
  readonly register: (pod: Pod, signal: AbortSignal) => Promise<Registration>
  readonly clock: Clock
  readonly log: Log
}

/** A pod that is refused because its entry could not be made. */
export class RegistrationError extends Error {
  override readonly name = 'RegistrationError'
  readonly code = 'POD_NOT_REGISTERED'
}

const allowed: AdmissionAnswer = { allowed: true }

/**
 * Answers the admission of pods: a pod that is created gets its entry before it exists, so that its identity is on its way while it is
 * still being scheduled. The reconcile loop stands behind it: whatever happens here, the entry comes once the pod is seen. A DELETE
 * changes nothing, since it may be refused, and the pod may have a successor by the time it is asked about.
 */
export function podAdmission(options: PodAdmissionOptions): AdmissionHandler {
  const { disabledNamespaces, log } = options
  return async (request, signal) => {
    const { kind, namespace, name, operation } = request
    if (disabledNamespaces.includes(namespace)) return allowed
    if (kind.group !== '' || kind.version !== 'v1' || kind.kind !== 'Pod' || request.subResource !== '') {
      log.warn({ kind, subResource: request.subResource, namespace, name }, 'asked about something that is no pod')
      return allowed
    }
    if (operation === 'DELETE') return allowed
    if (operation !== 'CREATE') {
      log.warn({ operation, namespace, name }, 'asked about a pod that is neither created nor deleted')
      return allowed
    }
    return request.dryRun ? allowed : await admitPod(options, request, signal)
  }
}

async function admitPod(
  options: PodAdmissionOptions,
  request: AdmissionRequest,
  signal: AbortSignal,
): Promise<AdmissionAnswer> {
  const pod = podOf(request)
  const { namespace = request.namespace, name = '' } = pod?.metadata ?? {}
  const problem =
    pod === undefined
      ? 'the review holds no pod with a name and a UID'
      : await registrationProblem(options, pod, signal)
  if (problem === undefined) return allowed
  const { log, failClosed } = options
  log.warn({ namespace, name, problem, failClosed }, 'a pod was admitted without its entry')
  if (failClosed) throw new RegistrationError(`pod ${namespace}/${name} has no SPIRE entry: ${problem}`)
  return { allowed: true, warnings: [`the pod has no SPIRE identity yet: ${problem}`] }
}

/** @returns undefined where nothing stands in the way */
async function registrationProblem(
  { register, budget, clock }: PodAdmissionOptions,
  pod: Pod,
  signal: AbortSignal,
): Promise<string | undefined> {
  const late = new AbortController()
  const timer = clock.timer(budget, () => late.abort(new Error(`SPIRE did not answer within ${budget / 1000}s`)))
  try {
    const registration = await register(pod, AbortSignal.any([signal, late.signal]))
    return registration.is === 'problem' ? registration.problem : undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    timer.cancel()
  }
}

/**
 * The pod of a CREATE. The API server has given it its name and its UID by the time it asks validating webhooks.
 *
 * @returns undefined where it is none
 */
function podOf({ object, namespace }: AdmissionRequest): Pod | undefined {
  if (typeof object !== 'object' || object === null || !('metadata' in object)) return undefined
  const { metadata } = object
  if (typeof metadata !== 'object' || metadata === null) return undefined
  const pod = object as Pod
  const { name, uid } = pod.metadata
  if (typeof name !== 'string' || name === '' || typeof uid !== 'string' || uid === '') return undefined
  return { ...pod, metadata: { ...pod.metadata, namespace: pod.metadata.namespace ?? namespace } }
}
