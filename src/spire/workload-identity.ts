import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { X509SVIDResponse } from '../gen/spiffe/workload_pb.ts'
import { type Certificate, CertificateError, readCertificate } from '../x509/certificate.ts'
import { DerError, readDerValues } from '../x509/der-reader.ts'
import { keyMatches } from '../x509/key.ts'
import { printable } from '../x509/printable.ts'

/** An X.509-SVID with its key, and the bundle of its own trust domain. */
export interface WorkloadIdentity {
  readonly spiffeId: string
  readonly key: KeyObject
  /** The leaf first, without the root. */
  readonly chain: readonly [Certificate, ...Certificate[]]
  /** The certificates of the trust domain's authorities. They need not be self-signed. */
  readonly bundle: readonly Certificate[]
}

/** What an agent gave and nobody can use. Never quotes a key. */
export class WorkloadIdentityError extends Error {
  override readonly name = 'WorkloadIdentityError'
  readonly code = 'WORKLOAD_IDENTITY_INVALID'
}

/**
 * Takes the SVID to be used out of an answer of the Workload API: the first one (SPIFFE Workload API §5.2.1) of the trust domain. It
 * is checked as X509-SVID §4 and §5 have it: one URI, which is the ID; not a CA; the key is the leaf's.
 *
 * @throws {WorkloadIdentityError}
 */
export function readWorkloadIdentity(response: X509SVIDResponse, trustDomain: string): WorkloadIdentity {
  const svid = response.svids.find(({ spiffeId }) => spiffeId.startsWith(`spiffe://${trustDomain}/`))
  if (svid === undefined) {
    const others = response.svids.map(({ spiffeId }) => printable(spiffeId)).join(', ')
    throw new WorkloadIdentityError(`it gave no SVID of trust domain ${trustDomain}, but ${others || 'none at all'}`)
  }
  const [leaf, ...intermediates] = readCertificatesOf(svid.x509Svid, 'SVID')
  if (leaf === undefined) throw new WorkloadIdentityError('its SVID holds no certificate')
  const { uri } = leaf.names
  if (uri.length !== 1 || uri[0] !== svid.spiffeId || leaf.isCA) {
    throw new WorkloadIdentityError(
      `its certificate is not an SVID of ${printable(svid.spiffeId)}: it has ${uri.map(printable).join(' and ') || 'no ID'}${leaf.isCA ? ', and is a CA' : ''}`,
    )
  }
  const key = readKey(svid.x509SvidKey)
  if (!keyMatches(key, leaf)) throw new WorkloadIdentityError('its key is not the one of its certificate')
  const bundle = readCertificatesOf(svid.bundle, 'bundle')
  if (bundle.length === 0) throw new WorkloadIdentityError('its bundle holds no certificate')
  return { spiffeId: svid.spiffeId, key, chain: [leaf, ...intermediates], bundle }
}

/** Certificates in DER, one after the other. */
function readCertificatesOf(bytes: Uint8Array, what: string): Certificate[] {
  try {
    return readDerValues(bytes).map(({ raw }) => readCertificate(raw))
  } catch (error) {
    if (!(error instanceof DerError || error instanceof CertificateError)) throw error
    throw new WorkloadIdentityError(`its ${what} cannot be read: ${error.message}`, { cause: error })
  }
}

function readKey(der: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
  } catch {
    // What OpenSSL says may quote the key.
    throw new WorkloadIdentityError('its key is not PKCS#8')
  }
}
