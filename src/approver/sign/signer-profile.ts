import { canonicalUsage, type KeyUsage } from '../../x509/key-usage.ts'
import { accountNames } from '../names/account-names.ts'
import { type AskedCertificate } from '../request/asked-certificate.ts'

/** What a signer signs, whoever approved it. */
export interface SignerProfile {
  readonly signerName: string
  /** Usages that a certificate may have. */
  readonly usages: readonly KeyUsage[]
  /** The longest life of a certificate, milliseconds from now; a request that asks for more gets this. */
  readonly longest: number
  /**
   * How long after its beginning the kubelet asks for a pod's next certificate, milliseconds. Where it is not said, after 60 to 70 % of
   * the life.
   */
  readonly refreshAfter?: number
}

/** What a signer allows that says nothing else: certificates of TLS clients and servers. */
export const defaultUsages: readonly KeyUsage[] = [
  'digital signature',
  'key encipherment',
  'server auth',
  'client auth',
]

/** Why a request cannot be signed, for people; none where it can. Policy has been decided before; this is the signer's own limit. */
export function profileFaults(
  { usages, names }: Pick<AskedCertificate, 'usages' | 'names'>,
  profile: SignerProfile,
): string[] {
  const allowed = new Set(profile.usages.map(canonicalUsage))
  const faults = usages
    .filter((usage) => !allowed.has(canonicalUsage(usage)))
    .map((usage) => `signer ${profile.signerName} does not sign for the usage "${usage}"`)
  const reserved = accountNames(names).map(
    (name) => `${name} is a name of Kubernetes itself, which begin with "system:"`,
  )
  return [...faults, ...reserved]
}
