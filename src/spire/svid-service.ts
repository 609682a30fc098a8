import type { KeyObject } from 'node:crypto'
import { SVID } from '../gen/spire/api/server/svid/v1/svid_pb.ts'
import { grpcStatus } from '../runtime/grpc-status.ts'
import { type Certificate, CertificateError, readCertificate } from '../x509/certificate.ts'
import { createCertificateRequest } from '../x509/certificate-request.ts'
import { missingNames } from '../x509/general-names.ts'
import { generateKey, keyMatches } from '../x509/key.ts'
import { decodePem } from '../x509/pem.ts'
import { SpireError } from './errors.ts'
import type { ServerClient } from './server-client.ts'

/** What an SVID is to say. */
export interface SvidRequest {
  /** Whole, in the server's trust domain, and not under `/spire`. */
  readonly spiffeId: string
  readonly dnsNames: readonly string[]
  /** Seconds; 0 for the server's default. The server's own certificate may end it earlier. */
  readonly ttl: number
}

/** An X.509-SVID that the server signed without an entry. */
export interface MintedSvid {
  /** Made here; it has never left this process. */
  readonly key: KeyObject
  /** The leaf first, without the root. */
  readonly chain: readonly [Certificate, ...Certificate[]]
}

/**
 * Has a certificate signed for a key that is made here (MintX509SVID), and checks that it is for this key and has the names.
 *
 * @throws {SpireError} also where the answer is not what was asked for
 * @throws {GeneralNameError} for a name that cannot be written
 */
export async function mintX509Svid(
  client: ServerClient,
  { spiffeId, dnsNames, ttl }: SvidRequest,
  signal: AbortSignal,
): Promise<MintedSvid> {
  const key = await generateKey({ algorithm: 'ECDSA', size: 256 })
  const names = { dns: dnsNames, ip: [], uri: [spiffeId], email: [] }
  const [request] = decodePem(createCertificateRequest(key, { subject: [], names }))
  // Nothing is stored of it, so it may be asked for again.
  const call = { signal, repeatable: true }
  const { svid } = await client.call(SVID.method.mintX509SVID, { csr: request?.der ?? new Uint8Array(), ttl }, call)
  const refuse = (details: string, cause?: unknown): SpireError =>
    new SpireError(
      { status: grpcStatus.INTERNAL, method: 'SVID.MintX509SVID', address: client.address, details },
      cause,
    )
  const [leaf, ...intermediates] = readChain(svid?.certChain ?? [], refuse)
  if (leaf === undefined) throw refuse('the answer holds no certificate')
  if (!keyMatches(key, leaf)) throw refuse('the certificate is for another key')
  const missing = missingNames(names, leaf.names)
  if (missing.length > 0) throw refuse(`the certificate lacks ${missing.join(', ')}`)
  return { key, chain: [leaf, ...intermediates] }
}

function readChain(
  chain: readonly Uint8Array[],
  refuse: (details: string, cause: unknown) => SpireError,
): Certificate[] {
  try {
    return chain.map(readCertificate)
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    throw refuse(error.message, error)
  }
}
