import { createCipheriv, createHmac, pbkdf2Sync } from 'node:crypto'
import { utf8Bytes } from './bytes.ts'
import { type DerBlock, integer, nullValue, octetString, oid, sequence } from './der-writer.ts'
import { encodeKeystorePassword } from './keystore-password.ts'
import { derivePkcs12Key } from './pkcs12-kdf.ts'

/** The profiles of cert-manager's PKCS#12 keystores, oldest first. */
export const pkcs12Profiles = ['LegacyRC2', 'LegacyDES', 'Modern2023', 'Modern2026'] as const

/**
 * How a PKCS#12 file is protected, by cert-manager's names (after go-pkcs12's encoders):
 *
 * - `Modern2026`: AES-256-CBC with PBKDF2, and PBMAC1 (RFC 9879), all with HMAC-SHA-256; needs OpenSSL 3.4 or Java 26.
 * - `Modern2023`: the same encryption, and an HMAC-SHA-256 with a key of PKCS#12's own derivation; needs OpenSSL 1.1.1 or Java 12.
 * - `LegacyDES`: three-key triple DES and HMAC-SHA-1; every reader takes it.
 * - `LegacyRC2`: written as `LegacyDES`. Its RC2 with 40 bits protects nothing, today's OpenSSL and Node.js no longer have it, and
 *   whatever reads it reads triple DES as well, since its private keys were always encrypted so.
 */
export type Pkcs12Profile = (typeof pkcs12Profiles)[number]

/** Content encrypted under a password. */
export interface EncryptedContent {
  /** AlgorithmIdentifier. */
  readonly algorithm: DerBlock
  readonly ciphertext: Uint8Array
}

/** The two ways in which a password protects a PKCS#12 file. */
export interface Pkcs12Protection {
  /** Encrypts with a salt of its own. */
  encrypt(content: Uint8Array): EncryptedContent
  /** @returns MacData (RFC 7292 §4) over the whole content */
  authenticate(content: Uint8Array): DerBlock
}

/**
 * As go-pkcs12 and OpenSSL have it. The MAC of the legacy profiles has as many, where go-pkcs12 has one: RFC 7292 §4 deprecates
 * that default, and a cheap MAC would undo what the encryption costs who guesses.
 */
const iterations = 2048

/**
 * @param random - the source of salts
 * @throws {KeystorePasswordError}
 */
export function createPkcs12Protection(
  profile: Pkcs12Profile,
  password: string,
  random: (size: number) => Uint8Array,
): Pkcs12Protection {
  // The derivations of RFC 7292 take UTF-16 with an end mark, those of RFC 8018 and RFC 9879 take UTF-8.
  const wide = new Uint8Array([...encodeKeystorePassword(password), 0, 0])
  const narrow = utf8Bytes(password)
  switch (profile) {
    case 'LegacyRC2':
    case 'LegacyDES':
      return {
        encrypt: (content) => encryptTripleDes(content, wide, random(8)),
        authenticate: (content) => macData('sha1', content, wide, random(8)),
      }
    case 'Modern2023':
      return {
        encrypt: (content) => encryptAes(content, narrow, random(16), random(16)),
        authenticate: (content) => macData('sha256', content, wide, random(16)),
      }
    case 'Modern2026':
      return {
        encrypt: (content) => encryptAes(content, narrow, random(16), random(16)),
        authenticate: (content) => pbmac1(content, narrow, random(16)),
      }
  }
}

/** pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 appendix C). */
function encryptTripleDes(content: Uint8Array, password: Uint8Array, salt: Uint8Array): EncryptedContent {
  const derivation = { digest: 'sha1', password, salt, iterations } as const
  const key = derivePkcs12Key({ ...derivation, purpose: 'key', length: 24 })
  const iv = derivePkcs12Key({ ...derivation, purpose: 'iv', length: 8 })
  return {
    algorithm: sequence(oid('1.2.840.113549.1.12.1.3'), sequence(octetString(salt), integer(iterations))),
    ciphertext: cipher('des-ede3-cbc', key, iv, content),
  }
}

/** PBES2 (RFC 8018 §6.2) with AES-256-CBC (RFC 3565). */
function encryptAes(content: Uint8Array, password: Uint8Array, salt: Uint8Array, iv: Uint8Array): EncryptedContent {
  const key = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const scheme = sequence(oid('2.16.840.1.101.3.4.1.42'), octetString(iv))
  return {
    algorithm: sequence(oid('1.2.840.113549.1.5.13'), sequence(pbkdf2(salt), scheme)),
    ciphertext: cipher('aes-256-cbc', key, iv, content),
  }
}

function cipher(name: string, key: Uint8Array, iv: Uint8Array, content: Uint8Array): Uint8Array {
  const encryption = createCipheriv(name, key, iv)
  return Buffer.concat([encryption.update(content), encryption.final()])
}

/** PBKDF2 as an AlgorithmIdentifier (RFC 8018 A.2). */
function pbkdf2(salt: Uint8Array, keyLength?: number): DerBlock {
  const length = keyLength === undefined ? [] : [integer(keyLength)]
  const parameters = sequence(octetString(salt), integer(iterations), ...length, hmacWithSha256())
  return sequence(oid('1.2.840.113549.1.5.12'), parameters)
}

function hmacWithSha256(): DerBlock {
  return sequence(oid('1.2.840.113549.2.9'), nullValue())
}

const digests = { sha1: { id: '1.3.14.3.2.26', size: 20 }, sha256: { id: '2.16.840.1.101.3.4.2.1', size: 32 } } as const

/** The MAC of RFC 7292 appendix A and §5.1. */
function macData(digest: keyof typeof digests, content: Uint8Array, password: Uint8Array, salt: Uint8Array): DerBlock {
  const { id, size } = digests[digest]
  const key = derivePkcs12Key({ digest, password, salt, iterations, purpose: 'mac', length: size })
  const mac = createHmac(digest, key).update(content).digest()
  return sequence(sequence(sequence(oid(id), nullValue()), octetString(mac)), octetString(salt), integer(iterations))
}

/** PBMAC1 in PKCS#12 (RFC 9879). */
function pbmac1(content: Uint8Array, password: Uint8Array, salt: Uint8Array): DerBlock {
  const key = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const mac = createHmac('sha256', key).update(content).digest()
  const algorithm = sequence(oid('1.2.840.113549.1.5.14'), sequence(pbkdf2(salt, key.length), hmacWithSha256()))
  // The old place of the salt means nothing here, and old readers want something in it; the RFC's examples say so in words.
  return sequence(sequence(algorithm, octetString(mac)), octetString(utf8Bytes('NOT USED')))
}
