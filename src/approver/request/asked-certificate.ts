import { createHash } from 'node:crypto'
import type { CertificateRequest } from '../../x509/certificate-request.ts'
import type { KeySpec } from '../../x509/key.ts'
import type { KeyUsage } from '../../x509/key-usage.ts'
import type { AskedNames } from './asked-names.ts'
import type { RequestFault } from './fault.ts'

/** What a request asks for, in one shape for all three kinds. What is here is all that the request holds: the rest was refused. */
export interface AskedCertificate {
  /** As it was read. Who signs must use these bytes, and no other reading of them. */
  readonly request: CertificateRequest
  readonly names: AskedNames
  readonly key: KeySpec
  /** SHA-256 of the SubjectPublicKeyInfo, hexadecimal: what the key ledger knows a key by. */
  readonly keyHash: string
  /** Sorted, of two names for one usage the canonical one. Empty for a PodCertificateRequest: its policy says which. */
  readonly usages: readonly KeyUsage[]
  /** Milliseconds; undefined where the signer is to choose. */
  readonly duration: number | undefined
}

/** The result of reading a request: what it asks for, as far as it could be read, and everything that rules it out. */
export interface Reading {
  /** Undefined where the bytes themselves could not be read. */
  readonly asked: AskedCertificate | undefined
  readonly faults: readonly RequestFault[]
}

/** @param spki - SubjectPublicKeyInfo in DER */
export function keyHash(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex')
}
