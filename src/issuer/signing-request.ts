import { createHash } from 'node:crypto'
import type { CertificateSigningRequest } from '../kubernetes/certificates.ts'
import type { ObjectMeta } from '../kubernetes/object.ts'
import { readCertificateRequest } from '../x509/certificate-request.ts'
import type { IssuanceRequest } from './issuer.ts'
import { identityKeys, identityMetadata, volumeOf } from './request-identity.ts'

/** What the names of all our requests begin with. */
export const signingRequestPrefix = 'podpass-'

/** How many digits of a request's id stand in its name. */
const suffixLength = 8

/**
 * The names that a request may have, in the order in which they are tried: 128 bits of its public key's hash, then a part of its id,
 * which differs for requests with one key. Requests have no namespace, so a name may be taken by anybody who may create some.
 */
export function signingRequestNames({ csr, id }: IssuanceRequest): readonly string[] {
  const { publicKey } = readCertificateRequest(csr)
  const key = createHash('sha256').update(publicKey).digest('hex').slice(0, 32)
  const suffixes = id.match(new RegExp(`.{${suffixLength}}`, 'g')) ?? [id]
  return suffixes.map((suffix) => `${signingRequestPrefix}${key}-${suffix}`)
}

/**
 * The CertificateSigningRequest of a request. Nothing owns it: it is cluster-scoped, and a pod cannot own such an object.
 *
 * @param name - one of {@link signingRequestNames}
 */
export function signingRequest(request: IssuanceRequest, nodeId: string, name: string): CertificateSigningRequest {
  const { labels, annotations } = identityMetadata(nodeId, request.volumeId)
  return {
    metadata: {
      name,
      labels,
      annotations: { ...request.annotations, ...annotations, [identityKeys.request]: request.id },
    },
    spec: {
      request: Buffer.from(request.csr).toString('base64'),
      signerName: request.issuer.name,
      expirationSeconds: Math.floor(request.duration / 1000),
      usages: request.usages,
    },
  }
}

/**
 * Whether an object that has the name of a request is that request: it asks the same signer for the same by the same bytes, was made
 * in the same name, and says that it belongs to the same volume. Else somebody else has made it.
 *
 * @param username - in whose name the request is or was made, as the API server knows it
 */
export function isSameSigningRequest(
  found: CertificateSigningRequest,
  wanted: CertificateSigningRequest,
  username: string | undefined,
): boolean {
  const { request, signerName, usages } = wanted.spec
  return (
    username !== undefined &&
    found.spec.username === username &&
    found.spec.request === request &&
    found.spec.signerName === signerName &&
    JSON.stringify(found.spec.usages) === JSON.stringify(usages) &&
    identityOf(found.metadata) === identityOf(wanted.metadata)
  )
}

/** By the label our watch finds it, by the annotations it is known. */
function identityOf({ labels = {}, annotations = {} }: ObjectMeta): string {
  const { nodeHash, node, volume, request } = identityKeys
  return JSON.stringify([labels[nodeHash], annotations[node], annotations[volume], annotations[request]])
}

/** Which volume of this node a request belongs to, and which of its requests it is. */
export interface RequestOwner {
  readonly volumeId: string
  readonly requestId: string
}

/** @returns undefined for requests of others: they are never resumed, and never deleted */
export function ownerOf(metadata: ObjectMeta, nodeId: string): RequestOwner | undefined {
  const volumeId = volumeOf(metadata, nodeId)
  const requestId = metadata.annotations?.[identityKeys.request]
  if (volumeId === undefined || requestId === undefined) return undefined
  return metadata.name?.startsWith(signingRequestPrefix) === true ? { volumeId, requestId } : undefined
}
