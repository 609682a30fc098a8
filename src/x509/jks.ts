import { hash, type KeyObject, randomBytes } from 'node:crypto'
import { utf8Bytes } from './bytes.ts'
import type { Certificate } from './certificate.ts'
import { encode, nullValue, octetString, oid, sequence } from './der-writer.ts'
import { encodeKeystorePassword } from './keystore-password.ts'

/** What every JKS file is made with. */
export interface JksOptions {
  /** Guards the file and each private key in it, as with cert-manager. May be empty; its characters may be any but U+0000. */
  readonly password: string
  /** When the entries were made, in epoch milliseconds. */
  readonly now: number
  /** The source of salts. @default {randomBytes} */
  readonly random?: (size: number) => Uint8Array
}

export interface JksKeystore extends JksOptions {
  /** A private key. */
  readonly key: KeyObject
  /** The certificate for the key, then its chain. */
  readonly chain: readonly Pick<Certificate, 'der'>[]
  /** The name of the entry; Java takes it in lower case. @default {'certificate'} */
  readonly alias?: string
  /** Certificates to trust, in entries of their own as in a truststore. @default {none} */
  readonly trusted?: readonly Pick<Certificate, 'der'>[]
}

export interface JksTruststore extends JksOptions {
  readonly certificates: readonly Pick<Certificate, 'der'>[]
}

/** An alias that a JKS file cannot hold. */
export class JksAliasError extends Error {
  override readonly name = 'JksAliasError'
  readonly code = 'JKS_ALIAS_INVALID'
}

/*
 * The format has no specification but its implementation, sun.security.provider.JavaKeyStore and KeyProtector in OpenJDK:
 * big-endian numbers, texts in modified UTF-8, then a SHA-1 over it all.
 */
const magic = 0xfeedfeed
const version = 2
const entryTypes = { privateKey: 1, trustedCertificate: 2 } as const
const certificateType = 'X.509'

/** Salts the digest at the end of every file. */
const digestSalt = 'Mighty Aphrodite'

/**
 * A Java keystore of type JKS with a private key and its chain, entries as cert-manager makes them.
 *
 * Its protection is Java's own of 1996 and weak; use it for readers that know nothing else.
 *
 * @throws {KeystorePasswordError | JksAliasError} which never quote the password
 * @throws {RangeError} where the chain is empty
 */
export function encodeJks(keystore: JksKeystore): Uint8Array<ArrayBuffer> {
  const { key, chain, alias = 'certificate', trusted = [], password, now, random = randomBytes } = keystore
  if (chain.length === 0) throw new RangeError('a keystore holds at least one certificate')
  if (trusted.some((_, index) => trustedAlias(index) === alias.toLowerCase())) {
    throw new JksAliasError(`the alias ${JSON.stringify(alias)} is that of a certificate to trust`)
  }
  const secret = encodeKeystorePassword(password)
  const protectedKey = protectKey(key.export({ type: 'pkcs8', format: 'der' }), secret, random(20))
  const entry = [
    entryHeader('privateKey', alias, now),
    uint32(protectedKey.length),
    protectedKey,
    uint32(chain.length),
    ...chain.map(encodeCertificate),
  ]
  return encodeStore([Buffer.concat(entry), ...trustedEntries(trusted, now)], secret)
}

/**
 * A Java keystore of type JKS with certificates to trust, named `ca`, `ca-1`, `ca-2` … as cert-manager does.
 *
 * @throws {KeystorePasswordError} which never quotes the password
 */
export function encodeJksTruststore({ certificates, password, now }: JksTruststore): Uint8Array<ArrayBuffer> {
  return encodeStore(trustedEntries(certificates, now), encodeKeystorePassword(password))
}

function trustedEntries(certificates: readonly Pick<Certificate, 'der'>[], now: number): Uint8Array[] {
  return certificates.map((certificate, index) => {
    return Buffer.concat([entryHeader('trustedCertificate', trustedAlias(index), now), encodeCertificate(certificate)])
  })
}

function trustedAlias(index: number): string {
  return index === 0 ? 'ca' : `ca-${index}`
}

function encodeStore(entries: readonly Uint8Array[], secret: Uint8Array): Uint8Array<ArrayBuffer> {
  const content = Buffer.concat([uint32(magic), uint32(version), uint32(entries.length), ...entries])
  const digest = hash('sha1', Buffer.concat([secret, utf8Bytes(digestSalt), content]), 'buffer')
  return new Uint8Array([...content, ...digest])
}

/** Java looks aliases up in lower case, and stores them so. */
function entryHeader(type: keyof typeof entryTypes, alias: string, now: number): Uint8Array {
  return Buffer.concat([uint32(entryTypes[type]), modifiedUtf8(alias.toLowerCase()), uint64(now)])
}

function encodeCertificate({ der }: Pick<Certificate, 'der'>): Uint8Array {
  return Buffer.concat([modifiedUtf8(certificateType), uint32(der.length), der])
}

/**
 * EncryptedPrivateKeyInfo (RFC 5208 §6) of Sun's own algorithm: the key is masked with SHA-1 chained over password and salt, and
 * followed by a SHA-1 over password and key.
 */
function protectKey(plain: Uint8Array, secret: Uint8Array, salt: Uint8Array): Uint8Array {
  const masked = new Uint8Array(plain.length)
  let digest: Uint8Array = salt
  for (let index = 0; index < plain.length; index++) {
    const place = index % 20
    if (place === 0) digest = hash('sha1', Buffer.concat([secret, digest]), 'buffer')
    masked[index] = (plain[index] ?? 0) ^ (digest[place] ?? 0)
  }
  const check = hash('sha1', Buffer.concat([secret, plain]), 'buffer')
  const algorithm = sequence(oid('1.3.6.1.4.1.42.2.17.1.1'), nullValue())
  return encode(sequence(algorithm, octetString(Buffer.concat([salt, masked, check]))))
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

/** A text behind its length, as java.io.DataOutput.writeUTF writes it: surrogates one by one, and U+0000 in two bytes. */
function modifiedUtf8(text: string): Uint8Array {
  const bytes: number[] = []
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit > 0 && unit < 0x80) bytes.push(unit)
    else if (unit < 0x800) bytes.push(0xc0 | (unit >> 6), 0x80 | (unit & 0x3f))
    else bytes.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f))
  }
  if (bytes.length > 0xffff) throw new JksAliasError(`an alias has at most 65535 bytes, not ${bytes.length}`)
  return Uint8Array.of(bytes.length >> 8, bytes.length & 0xff, ...bytes)
}
