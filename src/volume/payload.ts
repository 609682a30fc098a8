import type { KeyObject } from 'node:crypto'
import type { IssuedCertificate } from '../issuer/issuer.ts'
import { encodePrivateKey } from '../x509/key.ts'
import type { VolumeSpec } from './spec.ts'

/** What a pod sees: each file's content, and further names for some of them. Paths are below the volume's root. */
export interface Payload {
  readonly files: ReadonlyMap<string, string>
  /** Link name → file. */
  readonly links: ReadonlyMap<string, string>
}

/** The names under which the first csi-driver, its table and its prose, showed the files. */
const legacyNames = { certificate: ['crt.pem', 'cert.pem'], privateKey: ['key.pem'], ca: ['ca.pem'] } as const

/** Lays out key, certificate chain and CA as a volume's attributes want them. Without a CA its file is empty, not missing. */
export function buildPayload(spec: VolumeSpec, key: KeyObject, answer: IssuedCertificate): Payload {
  const files = new Map([
    [spec.files.certificate, answer.chain],
    [spec.files.privateKey, encodePrivateKey(key, spec.key.encoding)],
    [spec.files.ca, answer.ca ?? ''],
  ])
  const links = new Map<string, string>()
  if (spec.legacyLinks) {
    for (const part of ['certificate', 'privateKey', 'ca'] as const) {
      for (const name of legacyNames[part]) {
        const taken = [...files.keys()].some((path) => path === name || path.startsWith(`${name}/`))
        if (!taken) links.set(name, spec.files[part])
      }
    }
  }
  return { files, links }
}
