import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { promisify } from 'node:util'
import type { Semaphore } from '../runtime/semaphore.ts'
import { bufferView, equalBytes } from './bytes.ts'

/** A kind of key, with its size in bits where there is a choice. */
export type KeySpec =
  | { readonly algorithm: 'RSA'; readonly size: number }
  | { readonly algorithm: 'ECDSA'; readonly size: 256 | 384 | 521 }
  | { readonly algorithm: 'Ed25519' }

/** How a private key is written; cert-manager's names. */
export type PrivateKeyEncoding = 'PKCS1' | 'PKCS8'

/** A key that cannot be read or cannot be used. Never quotes the key. */
export class KeyError extends Error {
  override readonly name = 'KeyError'
  readonly code = 'KEY_INVALID'
}

/** Where private keys come from. */
export interface KeyGenerator {
  /**
   * @param signal - ends the wait for a turn
   * @throws the signal's reason
   */
  generate(spec: KeySpec, signal?: AbortSignal): Promise<KeyObject>
}

const generateKeyPairAsync = promisify(generateKeyPair)

const curves = { 256: 'prime256v1', 384: 'secp384r1', 521: 'secp521r1' } as const

/**
 * Makes keys, RSA ones only as many at a time as `rsaSlots` has: each holds a thread of libuv's pool of four for its whole
 * search, and file access and name resolution stand in the same queue.
 *
 * @param rsaSlots - two leave room on a pool of the default size
 */
export function createKeyGenerator(rsaSlots: Semaphore): KeyGenerator {
  return {
    generate: (spec, signal) =>
      spec.algorithm === 'RSA' ? rsaSlots.run(() => generateKey(spec), signal) : generateKey(spec),
  }
}

/** Makes a key. RSA is searched for off the event loop; the others take less than handing them to another thread would. */
export async function generateKey(spec: KeySpec): Promise<KeyObject> {
  if (spec.algorithm !== 'RSA') return generateKeySync(spec)
  const { privateKey } = await generateKeyPairAsync('rsa', { modulusLength: spec.size })
  return privateKey
}

/** Makes a key before it returns. RSA takes 40 ms and up: for program starts and tests. */
export function generateKeySync(spec: KeySpec): KeyObject {
  switch (spec.algorithm) {
    case 'RSA':
      return generateKeyPairSync('rsa', { modulusLength: spec.size }).privateKey
    case 'ECDSA':
      return generateKeyPairSync('ec', { namedCurve: curves[spec.size] }).privateKey
    case 'Ed25519':
      return generateKeyPairSync('ed25519').privateKey
  }
}

/** @returns the kind of a private or public key; undefined for kinds that no {@link KeySpec} names */
export function keySpecOf(key: KeyObject): KeySpec | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'ed25519') return { algorithm: 'Ed25519' }
  if (type === 'rsa' && details?.modulusLength !== undefined) return { algorithm: 'RSA', size: details.modulusLength }
  const size = ([256, 384, 521] as const).find((size) => curves[size] === details?.namedCurve)
  return type === 'ec' && size !== undefined ? { algorithm: 'ECDSA', size } : undefined
}

/** @returns such as `RSA 2048`, `ECDSA P-256` or `Ed25519` */
export function formatKeySpec(spec: KeySpec): string {
  switch (spec.algorithm) {
    case 'RSA':
      return `RSA ${spec.size}`
    case 'ECDSA':
      return `ECDSA P-${spec.size}`
    case 'Ed25519':
      return 'Ed25519'
  }
}

/**
 * Writes a private key as cert-manager does.
 *
 * @param encoding - PKCS1 gives `RSA PRIVATE KEY` (RFC 8017 A.1.2) for RSA and `EC PRIVATE KEY` (RFC 5915) for ECDSA keys; Ed25519
 *   keys have only PKCS8 (RFC 8410)
 * @returns PEM, not encrypted
 */
export function encodePrivateKey(key: KeyObject, encoding: PrivateKeyEncoding): string {
  if (encoding === 'PKCS1' && key.asymmetricKeyType === 'rsa') return pemOf(key, 'pkcs1')
  if (encoding === 'PKCS1' && key.asymmetricKeyType === 'ec') return pemOf(key, 'sec1')
  return pemOf(key, 'pkcs8')
}

function pemOf(key: KeyObject, type: 'pkcs1' | 'sec1' | 'pkcs8'): string {
  return key.export({ type, format: 'pem' })
}

/**
 * @param pem - one unencrypted private key of any of the three block types
 * @throws {KeyError}
 */
export function decodePrivateKey(pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: pem, format: 'pem' })
  } catch (error) {
    throw new KeyError('expected one unencrypted private key in PEM', { cause: error })
  }
  if (keySpecOf(key) === undefined) throw new KeyError(`keys of type ${key.asymmetricKeyType} are not supported`)
  return key
}

/** By key, for as long as that is used: a request and the look at its answer need the same. */
const publicKeys = new WeakMap<KeyObject, Uint8Array<ArrayBuffer>>()

/**
 * @param key - private or public
 * @returns SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7); not to be changed
 */
export function publicKeyDer(key: KeyObject): Uint8Array<ArrayBuffer> {
  const known = publicKeys.get(key)
  if (known !== undefined) return known
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  const der = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
  publicKeys.set(key, der)
  return der
}

/**
 * @param der - SubjectPublicKeyInfo
 * @throws {KeyError}
 */
export function decodePublicKey(der: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: bufferView(der), format: 'der', type: 'spki' })
  } catch (error) {
    throw new KeyError('the public key cannot be read', { cause: error })
  }
}

/**
 * Whether a certificate or request is for this key. Compares the keys, not their encodings, of which an issuer may choose another.
 *
 * @param certified - its `publicKey` is a SubjectPublicKeyInfo in DER; one that cannot be read matches nothing
 */
export function keyMatches(privateKey: KeyObject, certified: { readonly publicKey: Uint8Array }): boolean {
  if (equalBytes(publicKeyDer(privateKey), certified.publicKey)) return true
  try {
    return createPublicKey(privateKey).equals(decodePublicKey(certified.publicKey))
  } catch (error) {
    if (error instanceof KeyError) return false
    throw error
  }
}

/** @returns SHA-256 over the SubjectPublicKeyInfo, hexadecimal: the same for a key pair's two halves, whatever its encoding */
export function publicKeyFingerprint(key: KeyObject): string {
  return createHash('sha256').update(publicKeyDer(key)).digest('hex')
}
