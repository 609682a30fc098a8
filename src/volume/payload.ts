import type { KeyObject } from 'node:crypto'
import type { IssuedCertificate } from '../issuer/issuer.ts'
import { readCertificates } from '../x509/certificate.ts'
import { encodePrivateKey } from '../x509/key.ts'
import { decodePem } from '../x509/pem.ts'
import { keystoreFiles } from './keystore-files.ts'
import type { VolumeSpec } from './spec.ts'

/** What a pod sees: each file's content, and further names for some of them. Paths are below the volume's root. */
export interface Payload {
  /** Texts are written as UTF-8. */
  readonly files: ReadonlyMap<string, string | Uint8Array>
  /** Link name → file. */
  readonly links: ReadonlyMap<string, string>
}

/** The names under which the first csi-driver, its table and its prose, showed the files. */
const legacyNames = { certificate: ['crt.pem', 'cert.pem'], privateKey: ['key.pem'], ca: ['ca.pem'] } as const

/**
 * Lays out key, certificate chain and CA as a volume's attributes want them. Without a CA its file is empty, not missing.
 *
 * @param answer - checked: its certificates can be read
 * @param now - epoch milliseconds, for formats that say when they were made
 */
export function buildPayload(spec: VolumeSpec, key: KeyObject, answer: IssuedCertificate, now: number): Payload {
  const files = new Map<string, string | Uint8Array>([
    [spec.files.certificate, answer.chain],
    [spec.files.privateKey, encodePrivateKey(key, spec.key.encoding)],
    [spec.files.ca, answer.ca ?? ''],
    ...outputFiles(spec, key, answer),
    ...keystoreFiles(spec, key, answer, now),
  ])
  return { files, links: legacyLinks(spec, files.keys().toArray()) }
}

/** Further forms of key and chain. */
function* outputFiles(
  { files, key: { encoding } }: VolumeSpec,
  key: KeyObject,
  { chain }: IssuedCertificate,
): Generator<[string, string | Uint8Array]> {
  const pem = encodePrivateKey(key, encoding)
  // As cert-manager writes it, an empty line between them included.
  if (files.combinedPem !== undefined) yield [files.combinedPem, `${pem}\n${chain}`]
  if (files.keyDer !== undefined) {
    const [block] = decodePem(pem)
    if (block !== undefined) yield [files.keyDer, block.der]
  }
  if (files.credentialBundle !== undefined) {
    // KEP-4317: the key as PKCS#8, then the chain, and nothing between the blocks.
    const certificates = readCertificates(chain).map((certificate) => certificate.pem)
    yield [files.credentialBundle, [encodePrivateKey(key, 'PKCS8'), ...certificates].join('')]
  }
}

function legacyLinks(spec: VolumeSpec, paths: readonly string[]): ReadonlyMap<string, string> {
  const links = new Map<string, string>()
  if (!spec.legacyLinks) return links
  for (const part of ['certificate', 'privateKey', 'ca'] as const) {
    for (const name of legacyNames[part]) {
      const taken = paths.some((path) => path === name || path.startsWith(`${name}/`))
      if (!taken) links.set(name, spec.files[part])
    }
  }
  return links
}
