import type { AttributeName, AttributeReader } from './attributes.ts'

/** Where each part of a volume goes, as paths below its root. */
export interface FileNames {
  readonly certificate: string
  readonly privateKey: string
  readonly ca: string
}

/** The longest name of one file or folder on Linux, in bytes (NAME_MAX). */
const longestSegment = 255
/** The longest path below a volume, in bytes: Linux takes 4095 in all (PATH_MAX), some of them for where the volume lies. */
const longestPath = 3072

/** What is wrong with a path below a volume's root, or undefined where it is fine. */
export function fileNameProblem(path: string): string | undefined {
  if (path.startsWith('/')) return 'must be a relative path'
  if (Buffer.byteLength(path) > longestPath) return `must not be longer than ${longestPath} bytes`
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(path)) return 'must not contain control characters'
  for (const segment of path.split('/')) {
    if (segment === '') return 'must not have an empty part'
    if (segment === '.') return 'must not have a part "."'
    if (segment.startsWith('..')) return 'must not have a part that starts with ".."'
    if (segment !== segment.trim()) return 'must not have a part with leading or trailing white space'
    if (Buffer.byteLength(segment) > longestSegment) return `must not have a part longer than ${longestSegment} bytes`
  }
  return undefined
}

/**
 * Reads the file attributes. Nested names (`bar/foo.crt`) are allowed, as the first csi-driver had them; two files must not share
 * a name, nor may one be a folder of another.
 */
export function readFileNames(reader: AttributeReader): FileNames {
  const named: { readonly attribute: AttributeName; readonly path: string }[] = []
  const read = (attribute: AttributeName, fallback: string): string => {
    const path = reader.text(attribute) ?? fallback
    const problem = fileNameProblem(path)
    if (problem !== undefined) reader.problem(attribute, `invalid value ${JSON.stringify(path)}: ${problem}`)
    const clash = named.find(
      (other) => other.path === path || other.path.startsWith(`${path}/`) || path.startsWith(`${other.path}/`),
    )
    if (clash !== undefined) {
      reader.problem(attribute, `invalid value ${JSON.stringify(path)}: clashes with ${clash.attribute}`)
    }
    named.push({ attribute, path })
    return path
  }
  return {
    certificate: read('certificate-file', 'tls.crt'),
    privateKey: read('privatekey-file', 'tls.key'),
    ca: read('ca-file', 'ca.crt'),
  }
}
