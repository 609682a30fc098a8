/** The letters that Kubernetes makes names of: no vowels and no digits like them, so that no word comes out (apimachinery util/rand). */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'

/** A generated name keeps five letters for its end within the 63 of a DNS label (apiserver names.SimpleNameGenerator). */
const longestGeneratedBase = 58

/** A name as the API server makes it of `metadata.generateName`: the base, cut where it is too long, and five random letters. */
export function generateName(base: string, random: () => number): string {
  const letters = Array.from({ length: 5 }, () => alphabet[Math.floor(random() * alphabet.length)])
  return base.slice(0, longestGeneratedBase) + letters.join('')
}

/**
 * A pod-template-hash in the form that the Deployment controller gives it: FNV-1a of the template, its digits in the letters of
 * names. The number is not the one a cluster would compute, which hashes Go's own print of the structure.
 */
export function podTemplateHash(template: unknown): string {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(JSON.stringify(template) ?? '')) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return Array.from(String(hash), (digit) => alphabet[digit.charCodeAt(0) % alphabet.length]).join('')
}

/** What keeps a text from naming a namespace, or a volume in its pod (RFC 1123 label), or undefined where it may. */
export function labelProblem(name: string): string | undefined {
  if (name.length <= 63 && /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(name)) return undefined
  return 'must be at most 63 letters: a-z, 0-9 and -, the first and last no -'
}

/** What keeps a text from naming a pod or a workload (RFC 1123 subdomain), or undefined where it may. */
export function subdomainProblem(name: string): string | undefined {
  const part = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?'
  if (name.length <= 253 && new RegExp(`^${part}(?:\\.${part})*$`).test(name)) return undefined
  return 'must be at most 253 letters: a-z, 0-9, - and ., the first and last a letter or digit'
}
