import { TokenMissingError } from './errors.ts'
import type { PodCredentials, PodReference } from './issuer.ts'

/** In whose name a request is created. */
export interface RequestCaller {
  /** For people. */
  readonly name: string
  /** What a call to the API server takes. */
  readonly options: { readonly token?: string }
}

/** The driver itself. */
export const ownCaller: RequestCaller = { name: "the driver's service account", options: {} }

/**
 * In whose name a pod's request is created: that of the pod's service account, where its rights and policies are to decide.
 *
 * @throws {TokenMissingError} where the pod's token is needed and none that holds is there
 */
export function requestCaller(
  useTokenRequest: boolean,
  { namespace, serviceAccount }: PodReference,
  credentials: PodCredentials | undefined,
): RequestCaller {
  if (!useTokenRequest) return ownCaller
  const token = credentials?.token('')
  if (token === undefined) {
    throw new TokenMissingError(
      `the kubelet has sent no token of service account ${namespace}/${serviceAccount} that holds`,
    )
  }
  return { name: `service account ${namespace}/${serviceAccount}`, options: { token } }
}
