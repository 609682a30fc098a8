import { CertificateError, readCertificates } from '../../x509/certificate.ts'
import type { LiveObjects } from '../live-objects.ts'
import { ownerOf } from '../key-ledger.ts'
import { readRequest } from '../request/read-request.ts'
import type { RequestObject } from '../request/request-object.ts'
import { type Drivers, subjectOf } from '../subject.ts'

/** A key that somebody was granted. */
export interface GrantedKey {
  readonly keyHash: string
  readonly owner: string
}

/** How long a certificate is taken to live whose request names no lifetime, until it is seen; milliseconds. */
const supposedLife = 24 * 3_600_000

/** Whose key it is that a request was granted for; undefined where the request cannot be read. */
export function grantedKey(request: RequestObject, live: LiveObjects, drivers: Drivers): GrantedKey | undefined {
  const { asked } = readRequest(request)
  if (asked === undefined) return undefined
  return { keyHash: asked.keyHash, owner: ownerOf(subjectOf(request, asked, live, drivers)) }
}

/** Until when a key may be in use whose request is granted now, before there is a certificate to look at. */
export function supposedEnd(duration: number | undefined, now: number): number {
  return now + (duration ?? supposedLife)
}

/** @returns the end of the certificate that a request was answered with, epoch milliseconds; undefined where it was not, or cannot be read */
export function endOfLeaf({ kind, object }: RequestObject): number | undefined {
  if (kind === 'PodCertificateRequest') {
    const end = Date.parse(object.status?.notAfter ?? '')
    return Number.isNaN(end) ? undefined : end
  }
  const { certificate = '' } = object.status ?? {}
  if (certificate === '') return undefined
  try {
    return readCertificates(Buffer.from(certificate, 'base64').toString('latin1'))[0]?.notAfter
  } catch (error) {
    if (error instanceof CertificateError) return undefined
    throw error
  }
}
