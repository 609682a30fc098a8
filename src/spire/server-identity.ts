import type { PeerCertificate } from 'node:tls'
import { CertificateError, readCertificate } from '../x509/certificate.ts'
import { printable } from '../x509/printable.ts'

/** The SPIFFE ID that every SPIRE server has in its trust domain. */
export function serverId(trustDomain: string): string {
  return `spiffe://${trustDomain}/spire/server`
}

/**
 * Checks, once OpenSSL has verified a certificate's chain, whether it is that of the trust domain's SPIRE server: its one URI is the
 * server's SPIFFE ID (X509-SVID §2). It has no DNS name to compare. The URI is read from the DER, as Node gives names only as text.
 *
 * @returns what grpc-js and node:tls take: an error where it is another's
 */
export function checkServerId(trustDomain: string): (host: string, certificate: PeerCertificate) => Error | undefined {
  const wanted = serverId(trustDomain)
  return (_host, certificate) => {
    const found = uris(certificate)
    if (found.length === 1 && found[0] === wanted) return undefined
    const names = found.length === 0 ? 'no SPIFFE ID' : found.map(printable).join(' and ')
    return new Error(`its certificate has ${names}, not ${wanted}`)
  }
}

function uris({ raw }: PeerCertificate): readonly string[] {
  try {
    return readCertificate(raw).names.uri
  } catch (error) {
    if (error instanceof CertificateError) return []
    throw error
  }
}
