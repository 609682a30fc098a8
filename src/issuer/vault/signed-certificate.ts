import * as v from 'valibot'
import { type Certificate, CertificateError, readCertificates } from '../../x509/certificate.ts'
import { equalBytes } from '../../x509/bytes.ts'
import { verifyChain } from '../../x509/chain.ts'
import type { IssuedCertificate } from '../issuer.ts'

/** What Vault signed. */
export interface SignedCertificate extends IssuedCertificate {
  /** As Vault writes it, in pairs of hexadecimal digits: `39:dd:2e:…`. */
  readonly serial: string
}

const signSchema = v.object({
  data: v.object({
    certificate: v.string(),
    serial_number: v.string(),
    issuing_ca: v.optional(v.string(), ''),
    ca_chain: v.nullish(v.array(v.string())),
  }),
})

/**
 * Reads the answer of `pki/sign/ROLE`: the leaf, the CA that signed it and, where the mount knows it, that CA's chain.
 *
 * The chain is what a TLS server sends, so it holds the leaf and the intermediates and no root. The CA is the root; where the mount does
 * not know the root, the CA nearest to it, which then has to be trusted as it is.
 *
 * @returns undefined where it is not such an answer
 */
export function readSignedCertificate(body: unknown): SignedCertificate | undefined {
  const parsed = v.safeParse(signSchema, body)
  if (!parsed.success) return undefined
  const { certificate, serial_number: serial, issuing_ca: issuingCa, ca_chain: given } = parsed.output.data
  const authorities = given === null || given === undefined || given.length === 0 ? [issuingCa] : given
  try {
    const [leaf, ...more] = readCertificates(certificate)
    if (leaf === undefined) return undefined
    const cas = [...more, ...readCertificates(authorities.join('\n'))]
    const roots = cas.filter(isSelfIssued)
    const intermediates = cas.filter((ca) => !isSelfIssued(ca))
    const trusted = roots.length > 0 ? roots : intermediates.slice(-1)
    return {
      serial,
      chain: pemOf([leaf, ...inOrder(leaf, intermediates, trusted)]),
      ca: trusted.length === 0 ? undefined : pemOf(trusted),
    }
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    return undefined
  }
}

/**
 * The intermediates that lead from the leaf to what is trusted: a mount with several issuers may name cross-signed ones that do not. As
 * they were given where none lead there; the driver's own check then says what is wrong.
 */
function inOrder(leaf: Certificate, intermediates: readonly Certificate[], trusted: readonly Certificate[]) {
  const result = verifyChain(leaf, intermediates, trusted, (leaf.notBefore + leaf.notAfter) / 2)
  if (!result.ok) return intermediates
  return result.path.slice(1).filter((certificate) => !isSelfIssued(certificate))
}

function pemOf(certificates: readonly Certificate[]): string {
  return certificates.map(({ pem }) => pem).join('')
}

function isSelfIssued({ rawSubject, rawIssuer }: Certificate): boolean {
  return equalBytes(rawSubject, rawIssuer)
}
