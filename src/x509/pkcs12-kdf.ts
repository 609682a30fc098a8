import { hash } from 'node:crypto'

/** What derived bytes are for; the identifiers of RFC 7292 B.3. */
const purposes = { key: 1, iv: 2, mac: 3 } as const

export interface Pkcs12Derivation {
  readonly digest: 'sha1' | 'sha256'
  /** BMPString with its end mark: two zero bytes (RFC 7292 B.1). */
  readonly password: Uint8Array
  readonly salt: Uint8Array
  readonly iterations: number
  readonly purpose: keyof typeof purposes
  /** Bytes wanted. */
  readonly length: number
}

/** The input block of SHA-1 and SHA-256, in bytes. */
const blockSize = 64

/** Derives bytes from a password by PKCS#12's own method (RFC 7292 B.2), which OpenSSL has and Node.js does not show. */
export function derivePkcs12Key(derivation: Pkcs12Derivation): Uint8Array<ArrayBuffer> {
  const { digest, password, salt, iterations, purpose, length } = derivation
  const input = new Uint8Array([...filled(salt), ...filled(password)])
  const diversifier = new Uint8Array(blockSize).fill(purposes[purpose])
  const derived = new Uint8Array(length)
  for (let offset = 0; offset < length;) {
    const part = iterate(digest, Buffer.concat([diversifier, input]), iterations)
    derived.set(part.subarray(0, length - offset), offset)
    offset += part.length
    stir(input, part)
  }
  return derived
}

/** The bytes repeated until they fill whole blocks. */
function filled(bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.ceil(bytes.length / blockSize) * blockSize)
  return result.map((_, index) => bytes[index % bytes.length] ?? 0)
}

function iterate(digest: string, first: Uint8Array, iterations: number): Uint8Array {
  let bytes: Uint8Array = first
  for (let round = 0; round < iterations; round++) bytes = hash(digest, bytes, 'buffer')
  return bytes
}

/** Adds `part`, repeated to a block, and one to each block of `input`, as numbers of 512 bits. */
function stir(input: Uint8Array, part: Uint8Array): void {
  for (let start = 0; start < input.length; start += blockSize) {
    let carry = 1
    for (let index = blockSize - 1; index >= 0; index--) {
      carry += (input[start + index] ?? 0) + (part[index % part.length] ?? 0)
      input[start + index] = carry & 0xff
      carry >>= 8
    }
  }
}
