import type { CertificateRequest } from '../../x509/certificate-request.ts'
import { decodePublicKey, formatKeySpec } from '../../x509/key.ts'
import type { RequestFault } from './fault.ts'

/** Below is weak; above, every verification by every peer takes long. */
const smallestRsa = 2048
const largestRsa = 8192

/** What KEP-4317 lets a PodCertificateRequest have. */
const podRsaSizes: readonly number[] = [3072, 4096]

/** Go refuses larger exponents (crypto/rsa checkPublicKeySize), and small ones invite forgeries. */
const smallestExponent = 65_537n
const largestExponent = 2n ** 31n - 1n

/** What is wrong with the key of a request. Curves and key kinds that Podpass does not know cannot even be read. */
export function keyFaults(
  { keySpec, publicKey }: Pick<CertificateRequest, 'keySpec' | 'publicKey'>,
  kind: 'PodCertificateRequest' | 'any',
): RequestFault[] {
  if (keySpec.algorithm !== 'RSA') return []
  const fault = (why: string): RequestFault => ({ rule: 'request.key', value: formatKeySpec(keySpec), why })
  if (kind === 'PodCertificateRequest' && !podRsaSizes.includes(keySpec.size)) {
    return [fault(`an RSA key of a PodCertificateRequest has ${podRsaSizes.join(' or ')} bits`)]
  }
  if (keySpec.size < smallestRsa || keySpec.size > largestRsa || keySpec.size % 8 !== 0) {
    return [fault(`an RSA key has ${smallestRsa} to ${largestRsa} bits, in whole bytes`)]
  }
  const exponent = decodePublicKey(publicKey).asymmetricKeyDetails?.publicExponent ?? 0n
  const isGood = exponent >= smallestExponent && exponent <= largestExponent && exponent % 2n === 1n
  return isGood ? [] : [fault(`its public exponent is ${exponent}, and must be odd, 65537 or more, and below 2^31`)]
}
