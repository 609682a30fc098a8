import type { AttributeName, AttributeReader } from './attributes.ts'

/** Where each part of a volume goes, as paths below its root. */
export interface FileNames {
  readonly certificate: string
  readonly privateKey: string
  readonly ca: string
  readonly pkcs12?: KeystoreFiles
  readonly jks?: KeystoreFiles
  /** Key, then chain. */
  readonly combinedPem?: string
  /** The key as DER. */
  readonly keyDer?: string
  /** The key as PKCS#8, then the chain, as a KEP-4317 credential bundle. */
  readonly credentialBundle?: string
}

/** Where a keystore and its truststore go. */
export interface KeystoreFiles {
  readonly keystore: string
  /** Written where the issuer gave a CA. */
  readonly truststore: string
}

/** Which files a volume has beside its three PEM files. */
export interface WantedFiles {
  readonly pkcs12: boolean
  readonly jks: boolean
}

/** cert-manager's additional output formats, with the names of their files there. */
const outputFormats = { CombinedPEM: 'tls-combined.pem', DER: 'key.der' } as const

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
export function readFileNames(reader: AttributeReader, wanted: WantedFiles = { pkcs12: false, jks: false }): FileNames {
  const named: { readonly attribute: AttributeName; readonly path: string }[] = []
  const claim = (attribute: AttributeName, path: string): string => {
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
  const read = (attribute: AttributeName, fallback: string): string =>
    claim(attribute, reader.text(attribute) ?? fallback)
  const standard = {
    certificate: read('certificate-file', 'tls.crt'),
    privateKey: read('privatekey-file', 'tls.key'),
    ca: read('ca-file', 'ca.crt'),
  }
  const formats = readOutputFormats(reader)
  const bundle = reader.text('credential-bundle-file')
  return {
    ...standard,
    ...(wanted.pkcs12 && {
      pkcs12: {
        keystore: read('pkcs12-filename', 'keystore.p12'),
        truststore: read('pkcs12-truststore-filename', 'truststore.p12'),
      },
    }),
    ...(wanted.jks && {
      jks: {
        keystore: read('jks-filename', 'keystore.jks'),
        truststore: read('jks-truststore-filename', 'truststore.jks'),
      },
    }),
    ...(formats.has('CombinedPEM') && {
      combinedPem: claim('additional-output-formats', outputFormats.CombinedPEM),
    }),
    ...(formats.has('DER') && { keyDer: claim('additional-output-formats', outputFormats.DER) }),
    ...(bundle !== undefined && { credentialBundle: claim('credential-bundle-file', bundle) }),
  }
}

function readOutputFormats(reader: AttributeReader): ReadonlySet<keyof typeof outputFormats> {
  const formats = new Set<keyof typeof outputFormats>()
  for (const item of reader.list('additional-output-formats')) {
    const format = (['CombinedPEM', 'DER'] as const).find((known) => known.toLowerCase() === item.toLowerCase())
    if (format !== undefined) formats.add(format)
    else {
      const message = `unsupported value ${JSON.stringify(item)}: supported values are "CombinedPEM", "DER"`
      reader.problem('additional-output-formats', message)
    }
  }
  return formats
}
