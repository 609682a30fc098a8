import type { KeySpec, PrivateKeyEncoding } from '../x509/key.ts'
import { type AttributeReader, wholeNumber } from './attributes.ts'

/** The key that a volume asks for. */
export interface KeyChoice {
  readonly spec: KeySpec
  readonly encoding: PrivateKeyEncoding
  /** Whether a renewal keeps the key. */
  readonly reuse: boolean
}

export function readKey(reader: AttributeReader): KeyChoice {
  const algorithm = reader.choice('key-algorithm', ['RSA', 'ECDSA', 'Ed25519'], 'RSA')
  const encoding = reader.choice('key-encoding', ['PKCS1', 'PKCS8'], algorithm === 'RSA' ? 'PKCS1' : 'PKCS8')
  if (algorithm !== 'RSA' && encoding === 'PKCS1') {
    reader.problem('key-encoding', `invalid value "PKCS1": an ${algorithm} key cannot be written as PKCS1, use PKCS8`)
  }
  return { spec: readKeySpec(reader, algorithm), encoding, reuse: reader.flag('reuse-private-key') }
}

function readKeySpec(reader: AttributeReader, algorithm: KeySpec['algorithm']): KeySpec {
  const text = reader.text('key-size')
  const invalid = (allowed: string): void => {
    reader.problem('key-size', `invalid value ${JSON.stringify(text)}: ${allowed}`)
  }
  switch (algorithm) {
    case 'RSA': {
      const size = text === undefined ? 2048 : wholeNumber(text)
      if (size === undefined || size < 2048 || size > 8192) invalid('an RSA key has 2048 to 8192 bits')
      return { algorithm, size: size ?? 2048 }
    }
    case 'ECDSA': {
      const size = text ?? '256'
      if (size === '256' || size === '384' || size === '521')
        return { algorithm, size: Number(size) as 256 | 384 | 521 }
      invalid('an ECDSA key has 256, 384 or 521 bits')
      return { algorithm, size: 256 }
    }
    case 'Ed25519':
      if (text !== undefined) invalid('an Ed25519 key has one size only, leave it out')
      return { algorithm }
  }
}
