import { DurationError, parseGoDuration } from '../../runtime/go-duration.ts'
import {
  CertificateRequestError,
  readCertificateRequest,
  readCertificateRequestDer,
} from '../../x509/certificate-request.ts'
import type { CertificateRequest } from '../../x509/certificate-request.ts'
import { printable } from '../../x509/printable.ts'
import { keyHash, type Reading } from './asked-certificate.ts'
import { askedNames, listNames, formatName, noAskedNames } from './asked-names.ts'
import type { RequestFault } from './fault.ts'
import { keyFaults } from './key-faults.ts'
import { nameFaults } from './name-faults.ts'
import type { RequestObject } from './request-object.ts'
import { readUsages, usageFaults } from './usage-faults.ts'

/**
 * Reads what a request asks for, strictly: whatever is not understood is a fault, and with a single one the request is ruled out
 * for good. Never throws, whatever the bytes of the request hold; the fields around them are the API server's to check.
 *
 * Control of the key is proven by the request's own signature (RFC 2986 §4.2), which is checked here; that nobody else used the key
 * before is for the key ledger.
 */
export function readRequest(request: RequestObject): Reading {
  const parsed = parse(request)
  if ('fault' in parsed) return { asked: undefined, faults: [parsed.fault] }
  const { content } = parsed
  const isPod = request.kind === 'PodCertificateRequest'
  const { duration, fault } = readDuration(request)
  const { usages, faults } = readUsages(request)
  const names = isPod ? noAskedNames : askedNames(content)
  const asked = { request: content, names, key: content.keySpec, keyHash: keyHash(content.publicKey), usages, duration }
  return {
    asked,
    faults: [
      ...keyFaults(content, isPod ? 'PodCertificateRequest' : 'any'),
      ...unknownFaults(content),
      ...(isPod ? stubFaults(content) : [...nameFaults(content), ...faults, ...usageFaults(content, usages)]),
      ...caFaults(request, content),
      ...(fault === undefined ? [] : [fault]),
    ],
  }
}

function parse(request: RequestObject): { readonly content: CertificateRequest } | { readonly fault: RequestFault } {
  try {
    if (request.kind === 'PodCertificateRequest') {
      return { content: readCertificateRequestDer(fromBase64(request.object.spec.stubPKCS10Request)) }
    }
    // Bytes over ASCII become characters that no PEM has.
    const bytes = fromBase64(request.object.spec.request)
    return { content: readCertificateRequest(Buffer.from(bytes).toString('latin1')) }
  } catch (error) {
    if (!(error instanceof CertificateRequestError)) throw error
    return { fault: { rule: 'request.encoding', value: '', why: error.message } }
  }
}

function fromBase64(text: unknown): Uint8Array {
  try {
    if (typeof text === 'string' && text !== '') return Uint8Array.fromBase64(text, { lastChunkHandling: 'strict' })
  } catch {
    // Said below, as for an absent one.
  }
  throw new CertificateRequestError('the request field is not base64')
}

function unknownFaults({ unknown }: CertificateRequest): RequestFault[] {
  return unknown.map((what) => ({
    rule: 'request.extensions',
    value: printable(what),
    why: `it asks for something that is not understood: ${printable(what)}`,
  }))
}

/** The kubelet leaves all but the key empty (KEP-4317), so whatever stands here was put there to be believed. */
function stubFaults(content: CertificateRequest): RequestFault[] {
  const [name] = listNames(askedNames(content))
  const asksMore = name !== undefined || content.subject.length > 0 || content.usages !== undefined
  if (!asksMore) return []
  const value = name === undefined ? 'usages' : formatName(name.kind, name.name)
  return [
    {
      rule: 'request.names',
      value: printable(value),
      why: 'the stub of a PodCertificateRequest holds a key and nothing else',
    },
  ]
}

function caFaults(request: RequestObject, { isCA }: CertificateRequest): RequestFault[] {
  const asked = isCA || (request.kind === 'CertificateRequest' && request.object.spec.isCA === true)
  return asked ? [{ rule: 'request.ca', value: 'isCA', why: 'it asks to be a certificate authority' }] : []
}

const second = 1000

function readDuration(request: RequestObject): {
  readonly duration?: number | undefined
  readonly fault?: RequestFault
} {
  switch (request.kind) {
    case 'CertificateSigningRequest':
      return readSeconds(request.object.spec.expirationSeconds)
    case 'PodCertificateRequest':
      return readSeconds(request.object.spec.maxExpirationSeconds)
    case 'CertificateRequest': {
      const text = request.object.spec.duration
      if (text === undefined) return {}
      try {
        const duration = parseGoDuration(text)
        return duration > 0 ? { duration } : badDuration(text)
      } catch (error) {
        if (!(error instanceof DurationError)) throw error
        return badDuration(text)
      }
    }
  }
}

function readSeconds(seconds: number | undefined): {
  readonly duration?: number | undefined
  readonly fault?: RequestFault
} {
  if (seconds === undefined) return {}
  return Number.isSafeInteger(seconds) && seconds > 0 ? { duration: seconds * second } : badDuration(String(seconds))
}

function badDuration(text: string): { readonly fault: RequestFault } {
  const value = printable(text)
  return { fault: { rule: 'request.duration', value, why: `${JSON.stringify(value)} is no lifetime` } }
}
