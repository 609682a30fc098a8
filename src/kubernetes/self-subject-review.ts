import type { KubernetesClient } from './client.ts'
import type { CallOptions } from './client-options.ts'
import { ApiError } from './errors.ts'
import type { KubernetesObject } from './object.ts'
import type { Resource } from './resource.ts'

/** authentication.k8s.io/v1 SelfSubjectReview (KEP-3325). */
interface SelfSubjectReview extends KubernetesObject {
  readonly status?: { readonly userInfo?: { readonly username?: string } }
}

const selfSubjectReviews: Resource<SelfSubjectReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'selfsubjectreviews',
  kind: 'SelfSubjectReview',
  namespaced: false,
}

/**
 * Asks the API server who the caller is. Every authenticated user may (system:basic-user).
 *
 * @param options - with the token of somebody else, who they are
 * @returns undefined where the server does not say, as before Kubernetes 1.28
 */
export async function ownUsername(
  client: Pick<KubernetesClient, 'create'>,
  options: CallOptions,
): Promise<string | undefined> {
  try {
    const review = await client.create(selfSubjectReviews, { metadata: {} }, options)
    return review.status?.userInfo?.username
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}
