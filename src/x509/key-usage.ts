/** The usages that cert-manager and the Kubernetes certificates API name (certificates.k8s.io/v1 KeyUsage). */
export const keyUsages = [
  'signing',
  'digital signature',
  'content commitment',
  'key encipherment',
  'key agreement',
  'data encipherment',
  'cert sign',
  'crl sign',
  'encipher only',
  'decipher only',
  'any',
  'server auth',
  'client auth',
  'code signing',
  'email protection',
  's/mime',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'timestamping',
  'ocsp signing',
  'microsoft sgc',
  'netscape sgc',
] as const

export type KeyUsage = (typeof keyUsages)[number]

/** Bits of the key usage extension by their numbers (RFC 5280 §4.2.1.3). Two names share the first one, as in cert-manager. */
const keyUsageBits = {
  'digital signature': 0,
  signing: 0,
  'content commitment': 1,
  'key encipherment': 2,
  'data encipherment': 3,
  'key agreement': 4,
  'cert sign': 5,
  'crl sign': 6,
  'encipher only': 7,
  'decipher only': 8,
} as const satisfies Partial<Record<KeyUsage, number>>

/** Key purposes of the extended key usage extension (RFC 5280 §4.2.1.12, RFC 4945 §5.1.3.12, and two vendors'). */
const keyPurposes = {
  any: '2.5.29.37.0',
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  's/mime': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5',
  'ipsec tunnel': '1.3.6.1.5.5.7.3.6',
  'ipsec user': '1.3.6.1.5.5.7.3.7',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
} as const satisfies Record<Exclude<KeyUsage, keyof typeof keyUsageBits>, string>

type KeyUsageBit = keyof typeof keyUsageBits

/** Whether a usage is a bit of the key usage extension, else it is a purpose of the extended one. */
export function isKeyUsageBit(usage: KeyUsage): usage is KeyUsageBit {
  return usage in keyUsageBits
}

/** The two extensions' contents for a list of usages. */
export interface UsageExtensions {
  /** Numbers of the bits that are set, ascending. */
  readonly bits: readonly number[]
  /** Dotted object identifiers, without repetition, in the order of the list. */
  readonly purposes: readonly string[]
}

/** The contents of the key usage and extended key usage extensions that stand for `usages`. */
export function splitUsages(usages: readonly KeyUsage[]): UsageExtensions {
  const bits = new Set<number>()
  const purposes = new Set<string>()
  for (const usage of usages) {
    if (isKeyUsageBit(usage)) bits.add(keyUsageBits[usage])
    else purposes.add(keyPurposes[usage])
  }
  return { bits: [...bits].sort((left, right) => left - right), purposes: [...purposes] }
}

/**
 * The name of a bit of the key usage extension. Of the two names for the first bit it is `digital signature`.
 *
 * @returns undefined for bits that RFC 5280 does not define
 */
export function usageOfBit(bit: number): KeyUsage | undefined {
  return usageByBit.get(bit)
}

/**
 * The name of a purpose of the extended key usage extension. Of the two names for e-mail it is `email protection`.
 *
 * @param purpose - a dotted object identifier
 * @returns undefined for purposes that cert-manager has no name for
 */
export function usageOfPurpose(purpose: string): KeyUsage | undefined {
  return usageByPurpose.get(purpose)
}

// Reversed first, so that of two names the one that stands first in its table wins.
const usageByBit = new Map<number, KeyUsage>(
  Object.entries(keyUsageBits)
    .reverse()
    .map(([usage, bit]) => [bit, usage as KeyUsage]),
)
const usageByPurpose = new Map<string, KeyUsage>(
  Object.entries(keyPurposes)
    .reverse()
    .map(([usage, purpose]) => [purpose, usage as KeyUsage]),
)

/** The one name for usages that have two: `digital signature` for `signing`, `email protection` for `s/mime`. */
export function canonicalUsage(usage: KeyUsage): KeyUsage {
  const canonical = isKeyUsageBit(usage) ? usageOfBit(keyUsageBits[usage]) : usageOfPurpose(keyPurposes[usage])
  return canonical ?? usage
}
