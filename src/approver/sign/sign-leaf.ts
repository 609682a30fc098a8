import { issueCertificate } from '../../x509/authority.ts'
import type { Certificate } from '../../x509/certificate.ts'
import { verifyChain } from '../../x509/chain.ts'
import type { SubjectNames } from '../../x509/general-names.ts'
import type { KeyUsage } from '../../x509/key-usage.ts'
import type { Subject } from '../../x509/name.ts'
import { type SigningCa, SigningCaError } from './signing-ca.ts'

/** What is decided about a leaf. Times are epoch milliseconds. */
export interface LeafContent {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array
  readonly subject: Subject
  readonly names: SubjectNames
  readonly usages: readonly KeyUsage[]
  readonly notBefore: number
  readonly notAfter: number
}

/** A leaf with its chain. */
export interface SignedLeaf {
  readonly leaf: Certificate
  /** PEM: the leaf, then what stands between it and the root. */
  readonly chain: string
}

/**
 * Signs a leaf, and holds it against the root once more before anybody gets it.
 *
 * @throws {SigningCaError | AuthorityError} where the CA cannot sign it
 */
export function signLeaf(ca: SigningCa, content: LeafContent, now: number): SignedLeaf {
  const { authority, intermediates, root } = ca
  const leaf = issueCertificate(authority, { ...content, isCA: false }, now)
  const verified = verifyChain(leaf, intermediates, [root], now)
  if (!verified.ok) throw new SigningCaError(`what the CA signed does not verify: ${verified.reason}`)
  return { leaf, chain: [leaf, ...intermediates].map(({ pem }) => pem).join('') }
}
