import { type Certificate, CertificateError, readCertificate, readCertificateBlocks } from './certificate.ts'

/** What an issuer says is to be trusted, as it was read. */
export interface TrustedCertificates {
  readonly roots: readonly Certificate[]
  /** How many others it holds, which cannot be read. */
  readonly unread: number
  /** Why it is of no use, for people; undefined where it is. */
  readonly problem?: string
}

/** @param ca - PEM */
export type ReadTrusted = (ca: string) => TrustedCertificates

/** cert-manager has much the same bound (internal/pem): a bundle of all public roots fits. */
const longestBundle = 400_000

/** A bundle may hold certificates that only others can read; it is no use if none can be read. Never throws for what an issuer may send. */
export function readTrustedCertificates(ca: string): TrustedCertificates {
  const roots: Certificate[] = []
  let unread = 0
  if (ca.length > longestBundle) return { roots, unread, problem: `the CA given is over ${longestBundle} bytes` }
  try {
    for (const der of readCertificateBlocks(ca)) {
      try {
        roots.push(readCertificate(der))
      } catch (error) {
        if (!(error instanceof CertificateError)) throw error
        unread++
      }
    }
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    return { roots, unread, problem: `the CA given cannot be read: ${error.message}` }
  }
  return roots.length > 0
    ? { roots, unread }
    : { roots, unread, problem: 'the CA given holds no certificate that can be read' }
}

/** A node has volumes of few issuers. */
const mostRemembered = 8

/** {@link readTrustedCertificates} for one that is asked again and again for the same few bundles: it keeps the last ones it was asked for. */
export function rememberingTrusted(): ReadTrusted {
  const known = new Map<string, TrustedCertificates>()
  return (ca) => {
    const trusted = known.get(ca) ?? readTrustedCertificates(ca)
    // The one used last goes to the end.
    known.delete(ca)
    known.set(ca, trusted)
    const [oldest] = known.keys()
    if (known.size > mostRemembered && oldest !== undefined) known.delete(oldest)
    return trusted
  }
}
