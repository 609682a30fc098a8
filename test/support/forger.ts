import type { IssuanceRequest, IssuedCertificate } from '../../src/issuer/issuer.ts'
import { type Authority, type CertificateProfile, createAuthority, issueCertificate } from '../../src/x509/authority.ts'
import { readCertificateRequest } from '../../src/x509/certificate-request.ts'
import { generateKeySync } from '../../src/x509/key.ts'
import { buildSubject } from '../../src/x509/name.ts'

/** How long before and after now its CA holds, in milliseconds. */
const span = 10 * 24 * 3600_000

/** An issuer that signs whatever a test wants, asked for or not. */
export class Forger {
  readonly #authority: Authority
  readonly #now: number

  /** @param now - epoch milliseconds */
  constructor(now: number, commonName = 'forger') {
    this.#now = now
    this.#authority = createAuthority({
      subject: buildSubject({ commonName }),
      key: generateKeySync({ algorithm: 'ECDSA', size: 256 }),
      lifetime: 2 * span,
      now: now - span,
    })
  }

  /** The CA's certificate in PEM. */
  get ca(): string {
    return this.#authority.certificate.pem
  }

  /** What was asked for, but for what `changes` says. */
  sign(request: IssuanceRequest, changes: Partial<CertificateProfile> = {}): IssuedCertificate {
    const { publicKey, subject, names } = readCertificateRequest(request.csr)
    const profile: CertificateProfile = {
      publicKey,
      subject,
      names,
      usages: request.usages,
      isCA: request.isCA,
      notBefore: this.#now,
      notAfter: this.#now + request.duration,
      ...changes,
    }
    return { chain: issueCertificate(this.#authority, profile, this.#now).pem, ca: this.ca }
  }
}
