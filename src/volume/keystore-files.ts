import type { KeyObject } from 'node:crypto'
import type { IssuedCertificate } from '../issuer/issuer.ts'
import {
  type Certificate,
  CertificateError,
  readCertificate,
  readCertificateBlocks,
  readCertificates,
} from '../x509/certificate.ts'
import { encodeJks, encodeJksTruststore } from '../x509/jks.ts'
import { encodePkcs12, encodePkcs12Truststore } from '../x509/pkcs12.ts'
import { revealPassword } from './keystores.ts'
import type { VolumeSpec } from './spec.ts'

type Anchor = Pick<Certificate, 'der' | 'subject'>

/**
 * The keystores and truststores that a volume asks for, by their paths. A truststore is made where the issuer gave a CA. The PKCS#12
 * keystore holds the chain alone, as the Go driver's; the JKS keystore has the CA in entries of its own, as cert-manager's.
 *
 * @param now - epoch milliseconds
 */
export function keystoreFiles(
  { files, keystores }: VolumeSpec,
  key: KeyObject,
  answer: IssuedCertificate,
  now: number,
): ReadonlyMap<string, Uint8Array> {
  const made = new Map<string, Uint8Array>()
  if (keystores.pkcs12 === undefined && keystores.jks === undefined) return made
  const chain = readCertificates(answer.chain)
  const anchors = readAnchors(answer.ca ?? '')
  if (keystores.pkcs12 !== undefined && files.pkcs12 !== undefined) {
    const options = { password: revealPassword(keystores.pkcs12.password), profile: keystores.pkcs12.profile }
    made.set(files.pkcs12.keystore, encodePkcs12({ ...options, key, chain }))
    if (anchors.length > 0) {
      made.set(files.pkcs12.truststore, encodePkcs12Truststore({ ...options, certificates: anchors }))
    }
  }
  if (keystores.jks !== undefined && files.jks !== undefined) {
    const options = { password: revealPassword(keystores.jks.password), now }
    const { alias } = keystores.jks
    made.set(files.jks.keystore, encodeJks({ ...options, key, chain, alias, trusted: anchors }))
    if (anchors.length > 0) made.set(files.jks.truststore, encodeJksTruststore({ ...options, certificates: anchors }))
  }
  return made
}

/** A certificate that only others can read stays an anchor to them; it has to be named in the truststore all the same. */
function readAnchors(ca: string): readonly Anchor[] {
  return readCertificateBlocks(ca).map((der) => {
    try {
      return readCertificate(der)
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error
      return { der, subject: 'certificate' }
    }
  })
}
