import type { ClusterTrustBundle } from '../../kubernetes/certificates.ts'
import { type Certificate, CertificateError, readCertificates } from '../../x509/certificate.ts'

/** A root that a signer has published, and how long it must stay so. Times are epoch milliseconds. */
export interface TrustedRoot {
  readonly certificate: Certificate
  /** When it was in the bundle and every ConfigMap; undefined until then. */
  readonly publishedAt: number | undefined
  /** It was there before the signer had signed anything: nobody holds an older trust, so nobody has to be waited for. */
  readonly isFirst: boolean
  /** The end of the last leaf below it, with some skew; undefined where it has signed nothing. It only ever grows. */
  readonly retireAfter: number | undefined
}

/** A bundle that is not ours, or that somebody has changed so that it cannot be read. It is left as it is. */
export class TrustBundleError extends Error {
  override readonly name = 'TrustBundleError'
  readonly code = 'TRUST_BUNDLE'
}

/** Marks what Podpass has made: a bundle or ConfigMap without it is somebody else's and never overwritten. */
export const trustLabel = { key: 'podpass.io/trust', value: 'published' } as const

/** What is known of each root of a bundle, as JSON by the certificate's fingerprint. */
export const rootsAnnotation = 'podpass.io/roots'

/** The name of a signer's bundle (KEP-3257: the signer's name, its slash a colon, another colon, a suffix). */
export function bundleName(signerName: string): string {
  return `${signerName.replace('/', ':')}:podpass`
}

interface RootNote {
  readonly publishedAt?: string
  readonly first?: true
  readonly retireAfter?: string
}

/** Writes a bundle. The order of its certificates is that of the roots. */
export function bundleOf(signerName: string, roots: readonly TrustedRoot[]): ClusterTrustBundle {
  const notes = roots.map(({ certificate, publishedAt, isFirst, retireAfter }): [string, RootNote] => [
    certificate.fingerprint,
    {
      ...(publishedAt !== undefined && { publishedAt: new Date(publishedAt).toISOString() }),
      ...(isFirst && { first: true as const }),
      ...(retireAfter !== undefined && { retireAfter: new Date(retireAfter).toISOString() }),
    },
  ])
  return {
    metadata: {
      name: bundleName(signerName),
      labels: { [trustLabel.key]: trustLabel.value },
      annotations: { [rootsAnnotation]: JSON.stringify(Object.fromEntries(notes)) },
    },
    spec: { signerName, trustBundle: pemOf(roots) },
  }
}

/** The roots as one PEM text. */
export function pemOf(roots: readonly TrustedRoot[]): string {
  return roots.map(({ certificate }) => certificate.pem).join('')
}

/**
 * Reads a bundle back. A root without a note, which somebody has added, counts as one that has signed nothing; a note without its root
 * is one that somebody has taken out.
 *
 * @throws {TrustBundleError}
 */
export function rootsOf({ metadata, spec }: ClusterTrustBundle): readonly TrustedRoot[] {
  const { name = '', labels = {}, annotations = {} } = metadata
  if (labels[trustLabel.key] !== trustLabel.value) {
    throw new TrustBundleError(
      `ClusterTrustBundle ${name} is not ours: it has no label ${trustLabel.key}=${trustLabel.value}`,
    )
  }
  const notes = readNotes(name, annotations[rootsAnnotation])
  return certificatesOf(name, spec.trustBundle).map((certificate) => {
    const note = notes[certificate.fingerprint]
    return {
      certificate,
      publishedAt: timeOf(name, note?.publishedAt),
      isFirst: note?.first === true,
      retireAfter: timeOf(name, note?.retireAfter),
    }
  })
}

function certificatesOf(name: string, pem: string): readonly Certificate[] {
  try {
    return readCertificates(pem)
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    throw new TrustBundleError(`ClusterTrustBundle ${name}: ${error.message}`, { cause: error })
  }
}

function readNotes(name: string, text: string | undefined): Readonly<Record<string, RootNote | undefined>> {
  try {
    const notes: unknown = JSON.parse(text ?? '{}')
    if (typeof notes === 'object' && notes !== null && Object.values(notes).every((note) => typeof note === 'object')) {
      return notes as Readonly<Record<string, RootNote | undefined>>
    }
  } catch {
    // Said below, as for JSON of another form.
  }
  throw unreadable(name)
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw unreadable(name)
  return time
}

function unreadable(name: string): TrustBundleError {
  return new TrustBundleError(
    `ClusterTrustBundle ${name}: its annotation ${rootsAnnotation} cannot be read, so it is not known how long its roots are needed`,
  )
}

/**
 * What is to be published next: the roots that are wanted, and all others for as long as a leaf below them may live.
 *
 * @param published - the bundle as it is; undefined where there is none
 * @param remembered - what this process has seen published; published anew where somebody has taken it out
 * @param wanted - roots of the CAs that may sign
 */
export function nextRoots(
  published: readonly TrustedRoot[] | undefined,
  remembered: readonly TrustedRoot[],
  wanted: readonly Certificate[],
  now: number,
): readonly TrustedRoot[] {
  const isFirst = (published ?? []).length === 0 && remembered.length === 0
  const roots = new Map((published ?? []).map((root) => [root.certificate.fingerprint, root]))
  for (const root of remembered) {
    const { fingerprint } = root.certificate
    const seen = roots.get(fingerprint)
    // It was out of the bundle for a while, so whoever needs it has to be waited for as if it were new.
    const again = { ...root, publishedAt: undefined, isFirst: false }
    roots.set(fingerprint, seen === undefined ? again : withRetirement(seen, root.retireAfter))
  }
  for (const certificate of wanted) {
    if (roots.has(certificate.fingerprint)) continue
    roots.set(certificate.fingerprint, { certificate, publishedAt: undefined, isFirst, retireAfter: undefined })
  }
  const isWanted = (root: TrustedRoot): boolean =>
    wanted.some(({ fingerprint }) => fingerprint === root.certificate.fingerprint)
  return [...roots.values()].filter((root) => isWanted(root) || (root.retireAfter ?? 0) > now)
}

/** The same root, needed until then at least. */
export function withRetirement(root: TrustedRoot, retireAfter: number | undefined): TrustedRoot {
  if (retireAfter === undefined || (root.retireAfter ?? 0) >= retireAfter) return root
  return { ...root, retireAfter }
}

/**
 * From when on a root may sign, epoch milliseconds; undefined as long as it is not published.
 *
 * @param propagation - how long it takes until what is published is in every pod, milliseconds
 */
export function maySignFrom({ publishedAt, isFirst }: TrustedRoot, propagation: number): number | undefined {
  if (publishedAt === undefined) return undefined
  return isFirst ? publishedAt : publishedAt + propagation
}
