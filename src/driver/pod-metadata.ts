import type { PodReference } from '../issuer/issuer.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { ApiError } from '../kubernetes/errors.ts'
import { pods } from '../kubernetes/resource.ts'
import { AttributeReader } from '../volume/attributes.ts'
import {
  type PodMetadata,
  type PodMetadataKeys,
  pickPodMetadata,
  podMetadataReferences,
} from '../volume/pod-metadata.ts'
import { expandedAttributes } from '../volume/variables.ts'

/** Says what labels and annotations a pod has, which the kubelet does not hand over. */
export interface PodMetadataSource {
  /**
   * @param keys - what is wanted of it
   * @param timeout - milliseconds
   * @throws {PodGoneError}
   * @throws {PodUnreadableError}
   */
  read(pod: PodReference, keys: PodMetadataKeys, timeout: number, signal: AbortSignal): Promise<PodMetadata>
}

/** The pod of a volume is not there any more, or another has its name. Maps to FAILED_PRECONDITION: no retry brings it back. */
export class PodGoneError extends Error {
  override readonly name = 'PodGoneError'
  readonly code = 'POD_GONE'
}

/** The API server cannot be asked about a pod, or refuses. Maps to UNAVAILABLE: once that is mended, the next publish succeeds. */
export class PodUnreadableError extends Error {
  override readonly name = 'PodUnreadableError'
  readonly code = 'POD_UNREADABLE'
}

/** An API server that answers takes a few milliseconds; one that does not is better asked again than waited for. */
const longestRead = 10_000

/** Where there is no API server to ask. */
export const noPodMetadataSource: PodMetadataSource = {
  read: () =>
    Promise.reject(new PodUnreadableError('there is no API server here that knows labels and annotations of pods')),
}

/** Asks the API server, once a volume: what a pod has when its volume is published first is what counts. */
export function apiPodMetadata(client: KubernetesClient): PodMetadataSource {
  return {
    async read(pod, keys, timeout, signal) {
      const { metadata } = await client
        .get(pods, pod, { metadataOnly: true, signal, timeout: Math.min(Math.max(timeout, 1), longestRead) })
        .catch((error: unknown) => {
          throw readError(error, pod)
        })
      if (metadata.uid === pod.uid) return pickPodMetadata(metadata, keys)
      throw new PodGoneError(
        `pod ${pod.namespace}/${pod.name} is another one by now (its uid is ${metadata.uid}, not ${pod.uid}), so its labels and annotations are not those of this volume`,
      )
    },
  }
}

function readError(error: unknown, { namespace, name }: PodReference): PodGoneError | PodUnreadableError {
  const text = `labels and annotations of pod ${namespace}/${name} cannot be read`
  if (error instanceof ApiError && error.status === 404) {
    return new PodGoneError(`${text}, since it is gone: ${error.message}`, { cause: error })
  }
  const hint =
    error instanceof ApiError && (error.status === 401 || error.status === 403)
      ? "; the driver's service account needs the right to get pods (deploy/driver/rbac.yaml)"
      : ''
  const why = error instanceof Error ? error.message : String(error)
  return new PodUnreadableError(`${text}: ${why}${hint}`, { cause: error })
}

/** The labels and annotations that a volume's attributes refer to; undefined where they refer to none. */
export function referencedMetadata(context: Readonly<Record<string, string>>): PodMetadataKeys | undefined {
  const reader = new AttributeReader(context)
  return podMetadataReferences(expandedAttributes.map((name) => reader.text(name) ?? ''))
}
