import { createAuthority, issueCertificate } from '../x509/authority.ts'
import type { Certificate } from '../x509/certificate.ts'
import { encodePrivateKey, generateKey, publicKeyDer } from '../x509/key.ts'
import { buildSubject } from '../x509/name.ts'
import type { Credentials } from './pod-view.ts'

/** The stranger's lifetimes, in milliseconds: longer than any play. */
const lifetime = 24 * 3600_000

/**
 * Makes somebody who claims the names of a pod, with a certificate in perfect order but for one thing: another CA signed it.
 *
 * @param original - whose names are claimed
 * @param now - epoch milliseconds
 */
export async function makeStranger(original: Certificate, now: number): Promise<Credentials> {
  const spec = { algorithm: 'ECDSA', size: 256 } as const
  const authority = createAuthority({
    subject: buildSubject({ commonName: 'a CA that nobody here trusts' }),
    key: await generateKey(spec),
    lifetime,
    now,
  })
  const key = await generateKey(spec)
  const certificate = issueCertificate(
    authority,
    {
      publicKey: publicKeyDer(key),
      subject: buildSubject({ commonName: original.commonName }),
      names: original.names,
      usages: ['digital signature', 'server auth', 'client auth'],
      isCA: false,
      notBefore: now,
      notAfter: now + lifetime,
    },
    now,
  )
  return { certificate: certificate.pem, privateKey: encodePrivateKey(key, 'PKCS8'), ca: authority.certificate.pem }
}
