import { type Extension, usageExtensions } from './extensions.ts'
import type { KeyUsage } from './key-usage.ts'
import { type NameConstraints, nameConstraintExtensions } from './name-constraints.ts'

/** What a request may say beside its subject and names. */
export interface RequestedExtensions {
  /** Written only where `encodeUsages` says so. */
  readonly usages: readonly KeyUsage[]
  readonly isCA: boolean
  /** Whether the request itself names its usages; cert-manager's `encodeUsagesInRequest`. */
  readonly encodeUsages: boolean
  readonly nameConstraints?: NameConstraints | undefined
}

/**
 * The extensions of a request by cert-manager's rules (pkg/util/pki GenerateCSR): both usage extensions, with `cert sign` for a CA,
 * then name constraints. No basic constraints: cert-manager writes them only behind a feature gate.
 *
 * cert-manager refuses a request whose extensions do not say the same as its CertificateRequest, purposes in the same order and each
 * as often. So the usages there must be these, without a second name for one of them.
 *
 * @throws {GeneralNameError}
 */
export function requestExtensions({ usages, isCA, encodeUsages, nameConstraints }: RequestedExtensions): Extension[] {
  const named: readonly KeyUsage[] = isCA ? ['cert sign', ...usages] : usages
  return [
    ...(encodeUsages ? usageExtensions(named) : []),
    ...(nameConstraints === undefined ? [] : nameConstraintExtensions(nameConstraints)),
  ]
}
