import type { KeyObject } from 'node:crypto'
import {
  type Authority,
  type AuthorityOptions,
  type CertificateProfile,
  createAuthority,
  issueCertificate,
} from './authority.ts'
import type { Certificate } from './certificate.ts'
import { noNames, type SubjectNames } from './general-names.ts'
import { generateKeySync, publicKeyDer } from './key.ts'
import { buildSubject } from './name.ts'

/** The present of all tests, in epoch milliseconds. */
export const now = Date.parse('2026-11-22T10:00:00Z')

export const minute = 60_000
export const hour = 60 * minute
export const day = 24 * hour

export const webNames: SubjectNames = {
  dns: ['web.example', '*.web.example'],
  ip: ['10.0.0.1', '2001:db8::1'],
  uri: ['spiffe://example.org/ns/sandbox/sa/web'],
  email: ['web@example.org'],
}

export function newKey(): KeyObject {
  return generateKeySync({ algorithm: 'ECDSA', size: 256 })
}

export function testAuthority(commonName: string, options: Partial<AuthorityOptions> = {}): Authority {
  return createAuthority({
    subject: buildSubject({ commonName }),
    key: newKey(),
    lifetime: 10 * day,
    now: now - day,
    ...options,
  })
}

/**
 * A leaf for `key` that holds from now for an hour, but for what `profile` says.
 *
 * @param at - when it is issued, where the present of all tests is not meant
 */
export function testLeaf(
  authority: Authority,
  key: KeyObject,
  profile: Partial<CertificateProfile> = {},
  at: number = now,
): Certificate {
  return issueCertificate(
    authority,
    {
      publicKey: publicKeyDer(key),
      subject: buildSubject({ commonName: 'web' }),
      names: noNames,
      usages: ['digital signature', 'server auth', 'client auth'],
      isCA: false,
      notBefore: now,
      notAfter: now + hour,
      ...profile,
    },
    at,
  )
}
