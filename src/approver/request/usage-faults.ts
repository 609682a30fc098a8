import type { CertificateRequest } from '../../x509/certificate-request.ts'
import { canonicalUsage, type KeyUsage, keyUsages, splitUsages } from '../../x509/key-usage.ts'
import { printable } from '../../x509/printable.ts'
import type { RequestFault } from './fault.ts'
import type { RequestObject } from './request-object.ts'

/** What cert-manager takes where a CertificateRequest names none (pkg/apis/certmanager/v1 DefaultKeyUsages). */
const defaultUsages: readonly KeyUsage[] = ['digital signature', 'key encipherment']

/** The usages of `spec.usages`, sorted and without a second name for one. */
export function readUsages(request: RequestObject): {
  readonly usages: readonly KeyUsage[]
  readonly faults: readonly RequestFault[]
} {
  if (request.kind === 'PodCertificateRequest') return { usages: [], faults: [] }
  const asked = request.object.spec.usages ?? []
  const named = asked.length === 0 && request.kind === 'CertificateRequest' ? defaultUsages : asked
  const known = new Set<KeyUsage>()
  const faults: RequestFault[] = []
  for (const text of named) {
    const usage = keyUsages.find((usage) => usage === text)
    if (usage === undefined) {
      const value = printable(text)
      faults.push({ rule: 'request.usages', value, why: `${JSON.stringify(value)} is no usage` })
    } else known.add(canonicalUsage(usage))
  }
  if (named.length === 0) faults.push({ rule: 'request.usages', value: '', why: 'it names no usage' })
  return { usages: [...known].sort(), faults }
}

/**
 * Nobody else compares the usages inside a request with those beside it, and signers differ in which they use. So those inside, where
 * there are any, must be the same: the bits of one extension, and the purposes of the other.
 */
export function usageFaults(
  { usages }: Pick<CertificateRequest, 'usages'>,
  beside: readonly KeyUsage[],
): RequestFault[] {
  const faults: RequestFault[] = []
  if (beside.includes('any')) faults.push({ rule: 'request.usages', value: 'any', why: '"any" would undo every limit' })
  for (const usage of ['cert sign', 'crl sign'] as const) {
    if (beside.includes(usage)) {
      faults.push({ rule: 'request.usages', value: usage, why: `"${usage}" is for certificate authorities` })
    }
  }
  if (usages === undefined) return faults
  const [inside, outside] = [splitUsages(usages), splitUsages(beside)]
  const differ =
    (inside.bits.length > 0 && !same(inside.bits, outside.bits)) ||
    (inside.purposes.length > 0 && !same(inside.purposes, outside.purposes))
  if (!differ) return faults
  const value = `${usages.join(', ')} inside, ${beside.join(', ')} beside`
  return [
    ...faults,
    { rule: 'request.usages', value, why: 'the usages inside the request are not those of spec.usages' },
  ]
}

function same<T extends number | string>(left: readonly T[], right: readonly T[]): boolean {
  return left.length === right.length && left.every((item) => right.includes(item))
}
