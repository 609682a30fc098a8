import {
  type Certificate,
  CertificateError,
  readCertificate,
  readCertificateBlocks,
  readCertificates,
} from './certificate.ts'
import { verifyChain } from './chain.ts'
import { encodePem } from './pem.ts'

/**
 * All certificates of several PEM texts as one, each once, in the order of their first appearance. What stands between blocks is left
 * out. The certificates are not read: some may be such that only others understand.
 *
 * @returns undefined where there is none
 * @throws {CertificateError} where a text is broken PEM or has blocks of another kind
 */
export function joinBundles(texts: Iterable<string>): string | undefined {
  const blocks = new Set<string>()
  for (const text of texts) for (const der of readCertificateBlocks(text)) blocks.add(encodePem('CERTIFICATE', der))
  return blocks.size === 0 ? undefined : [...blocks].join('')
}

/**
 * Whether a chain leads to a certificate of a bundle. Never throws for what either may hold.
 *
 * @param chain - PEM, leaf first
 * @param bundle - PEM; a certificate in it that cannot be read counts as absent
 * @param now - epoch milliseconds; a leaf that has ended is judged at its end
 */
export function isTrusted(chain: string, bundle: string, now: number): boolean {
  const [leaf, ...intermediates] = readable(() => readCertificates(chain)) ?? []
  if (leaf === undefined) return false
  const blocks = readable(() => readCertificateBlocks(bundle)) ?? []
  const roots = blocks.flatMap((der): Certificate[] => {
    const root = readable(() => readCertificate(der))
    return root === undefined ? [] : [root]
  })
  const at = Math.min(Math.max(now, leaf.notBefore), leaf.notAfter)
  return verifyChain(leaf, intermediates, roots, at).ok
}

function readable<Read>(read: () => Read): Read | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof CertificateError) return undefined
    throw error
  }
}
