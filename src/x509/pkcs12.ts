import { hash, type KeyObject, randomBytes } from 'node:crypto'
import type { Certificate } from './certificate.ts'
import {
  bmpString,
  constructed,
  type DerBlock,
  encode,
  integer,
  octetString,
  oid,
  primitive,
  sequence,
  setOf,
} from './der-writer.ts'
import { createPkcs12Protection, type Pkcs12Profile, type Pkcs12Protection } from './pkcs12-protection.ts'

/** What every PKCS#12 file is made with. */
export interface Pkcs12Options {
  /** May be empty; its characters may be any but U+0000. Java (up to 17 at least) opens PKCS#12 only with those of ASCII. */
  readonly password: string
  readonly profile: Pkcs12Profile
  /** The source of salts. @default {randomBytes} */
  readonly random?: (size: number) => Uint8Array
}

export interface Pkcs12Keystore extends Pkcs12Options {
  /** A private key. */
  readonly key: KeyObject
  /** The certificate for the key, then whatever else is to stand in the file. */
  readonly chain: readonly Pick<Certificate, 'der'>[]
  /** The name of the entry, an alias to Java. @default {none, as with cert-manager; Java then calls it `1`} */
  readonly friendlyName?: string
}

export interface Pkcs12Truststore extends Pkcs12Options {
  readonly certificates: readonly Pick<Certificate, 'der' | 'subject'>[]
}

/** PKCS#9 and PKCS#12 (RFC 7292 appendix D, RFC 2985 §5.5), and one of Oracle's. */
const ids = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
} as const

/**
 * A PKCS#12 file (RFC 7292) with a private key and its certificates, laid out as go-pkcs12 and OpenSSL do: the certificates
 * encrypted in one part, the encrypted key in another; key and leaf share a local key id, which is the leaf's SHA-1.
 *
 * @returns DER
 * @throws {KeystorePasswordError} which never quotes the password
 * @throws {RangeError} where the chain is empty
 * @example
 * ```ts
 * encodePkcs12({ key, chain: readCertificates(answer.chain), password, profile: 'Modern2023' })
 * ```
 */
export function encodePkcs12(keystore: Pkcs12Keystore): Uint8Array<ArrayBuffer> {
  const { key, chain, password, profile, friendlyName, random = randomBytes } = keystore
  const [leaf, ...others] = chain
  if (leaf === undefined) throw new RangeError('a keystore holds at least one certificate')
  const protection = createPkcs12Protection(profile, password, random)
  const identity = [
    attribute(ids.localKeyId, octetString(hash('sha1', leaf.der, 'buffer'))),
    ...(friendlyName === undefined ? [] : [attribute(ids.friendlyName, bmpString(friendlyName))]),
  ]
  const certificates = [certificateBag(leaf.der, identity), ...others.map(({ der }) => certificateBag(der, []))]
  return encodeFile(protection, [
    encryptedContent(protection, certificates),
    plainContent([keyBag(protection, key, identity)]),
  ])
}

/**
 * A PKCS#12 file with certificates that Java takes as trust anchors, as go-pkcs12 writes it: each is marked as trusted for any
 * usage and named after its subject. Two of one subject, as while a CA is replaced, get different names: Java keeps one
 * certificate a name.
 *
 * @returns DER
 * @throws {KeystorePasswordError} which never quotes the password
 */
export function encodePkcs12Truststore(truststore: Pkcs12Truststore): Uint8Array<ArrayBuffer> {
  const { certificates, password, profile, random = randomBytes } = truststore
  const protection = createPkcs12Protection(profile, password, random)
  const names = distinctNames(certificates.map(({ subject }) => subject))
  const bags = certificates.map(({ der }, index) =>
    certificateBag(der, [
      attribute(ids.friendlyName, bmpString(names[index] ?? '')),
      attribute(ids.trustedKeyUsage, oid(ids.anyExtendedKeyUsage)),
    ]),
  )
  return encodeFile(protection, [encryptedContent(protection, bags)])
}

/** Java compares aliases without case. */
function distinctNames(names: readonly string[]): string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    let candidate = name
    for (let number = 2; taken.has(candidate.toLowerCase()); number++) candidate = `${name} (${number})`
    taken.add(candidate.toLowerCase())
    return candidate
  })
}

/** PFX (RFC 7292 §4). */
function encodeFile(protection: Pkcs12Protection, parts: readonly DerBlock[]): Uint8Array<ArrayBuffer> {
  const content = encode(sequence(...parts))
  return encode(sequence(integer(3), dataContent(content), protection.authenticate(content)))
}

/** ContentInfo of type data (RFC 2315 §8). */
function dataContent(content: Uint8Array): DerBlock {
  return sequence(oid(ids.data), constructed(0, octetString(content)))
}

function plainContent(bags: readonly DerBlock[]): DerBlock {
  return dataContent(encode(sequence(...bags)))
}

/** ContentInfo of type encryptedData (RFC 2315 §13). */
function encryptedContent(protection: Pkcs12Protection, bags: readonly DerBlock[]): DerBlock {
  const { algorithm, ciphertext } = protection.encrypt(encode(sequence(...bags)))
  const info = sequence(oid(ids.data), algorithm, primitive(0, ciphertext))
  return sequence(oid(ids.encryptedData), constructed(0, sequence(integer(0), info)))
}

function keyBag(protection: Pkcs12Protection, key: KeyObject, attributes: readonly DerBlock[]): DerBlock {
  const plain = key.export({ type: 'pkcs8', format: 'der' })
  const { algorithm, ciphertext } = protection.encrypt(plain)
  return bag(ids.shroudedKeyBag, sequence(algorithm, octetString(ciphertext)), attributes)
}

function certificateBag(der: Uint8Array, attributes: readonly DerBlock[]): DerBlock {
  return bag(ids.certificateBag, sequence(oid(ids.x509Certificate), constructed(0, octetString(der))), attributes)
}

/** SafeBag (RFC 7292 §4.2). */
function bag(id: string, value: DerBlock, attributes: readonly DerBlock[]): DerBlock {
  return sequence(oid(id), constructed(0, value), ...(attributes.length > 0 ? [setOf(...attributes)] : []))
}

function attribute(id: string, value: DerBlock): DerBlock {
  return sequence(oid(id), setOf(value))
}
