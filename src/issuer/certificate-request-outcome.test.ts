import { expect, test } from 'vitest'
import type { CertificateRequest, Condition } from '../kubernetes/object.ts'
import { requestOutcome } from './certificate-request-outcome.ts'
import { RequestDeniedError, RequestFailedError } from './errors.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const chain = '-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n'

function requestWith(
  conditions: readonly Condition[],
  status: { readonly certificate?: string; readonly ca?: string } = {},
): CertificateRequest {
  return { metadata: {}, spec: { request: '', issuerRef: { name: 'ca' } }, status: { conditions, ...status } }
}

/** As cert-manager writes them (pkg/apis/certmanager/v1/types_certificaterequest.go). */
const approved: Condition = { type: 'Approved', status: 'True', reason: 'cert-manager.io', message: 'approved' }
const pending: Condition = { type: 'Ready', status: 'False', reason: 'Pending', message: 'Waiting on order' }
const issued: Condition = { type: 'Ready', status: 'True', reason: 'Issued', message: 'Certificate fetched' }
const failed: Condition = { type: 'Ready', status: 'False', reason: 'Failed', message: 'the issuer said no' }
const denied: Condition = { type: 'Denied', status: 'True', reason: 'policy', message: 'not allowed' }
const readyDenied: Condition = {
  type: 'Ready',
  status: 'False',
  reason: 'Denied',
  message: 'was denied by an approver',
}
const invalid: Condition = { type: 'InvalidRequest', status: 'True', reason: 'InvalidRequest', message: 'CSR is bad' }

/** The error of a refused request. */
function refusal(request: CertificateRequest) {
  const outcome = requestOutcome(request)
  if (outcome.is !== 'refused') throw new Error(`it is ${outcome.is}`)
  return outcome.error('CertificateRequest sandbox/podpass-0f3c')
}

test.each([
  ['without a status', { ...requestWith([]), status: undefined }, 'it waits for approval'],
  ['without conditions', requestWith([]), 'it waits for approval'],
  ['that is approved', requestWith([approved]), 'it is approved and waits for its issuer'],
  ['that is not denied', requestWith([{ ...denied, status: 'False' }]), 'it waits for approval'],
  ['that is not invalid', requestWith([{ ...invalid, status: 'False' }]), 'it waits for approval'],
  ['that is pending', requestWith([approved, pending]), 'it is pending: Waiting on order'],
  [
    'whose reason nobody knows',
    requestWith([{ type: 'Ready', status: 'Unknown', reason: 'Odd' }]),
    'it is pending: no message',
  ],
  ['that is ready without a certificate', requestWith([issued]), 'it is pending: Certificate fetched'],
  [
    'that has a certificate before it is ready',
    requestWith([pending], { certificate: base64(chain) }),
    'it is pending: Waiting on order',
  ],
])('a request %s is waiting', (_what, request, state) => {
  expect(requestOutcome(request as CertificateRequest)).toEqual({ is: 'waiting', state })
})

test('an issued request has its chain, and its CA where there is one', () => {
  const status = { certificate: base64(chain), ca: base64('ca ключ') }
  expect(requestOutcome(requestWith([approved, issued], status))).toEqual({
    is: 'issued',
    certificate: { chain, ca: 'ca ключ' },
  })
  for (const ca of [undefined, '']) {
    const without = requestWith([issued], { certificate: base64(chain), ...(ca === undefined ? {} : { ca }) })
    expect(requestOutcome(without)).toEqual({ is: 'issued', certificate: { chain, ca: undefined } })
  }
})

test.each([
  ['that is denied', [denied], RequestDeniedError, 'was denied: not allowed'],
  ['that its issuer was told is denied', [readyDenied], RequestDeniedError, 'was denied: was denied by an approver'],
  ['that failed', [approved, failed], RequestFailedError, 'failed: the issuer said no'],
  ['that is invalid', [invalid], RequestFailedError, 'failed: CSR is bad'],
  [
    'that is denied without a word',
    [{ ...denied, message: '' }],
    RequestDeniedError,
    'was denied: no reason was given',
  ],
  ['that failed without a word', [{ ...failed, message: '' }], RequestFailedError, 'failed: no reason was given'],
  ['that is denied and failed', [failed, denied], RequestDeniedError, 'was denied: not allowed'],
])('a request %s is refused for good', (_what, conditions, Kind, text) => {
  const error = refusal(requestWith(conditions))
  expect(error).toBeInstanceOf(Kind)
  expect(error.final).toBe(true)
  expect(error.message).toBe(`CertificateRequest sandbox/podpass-0f3c ${text}`)
})

test('a denial counts more than a certificate that is there all the same', () => {
  expect(refusal(requestWith([issued, denied], { certificate: base64(chain) }))).toBeInstanceOf(RequestDeniedError)
})

test('a failure of a SelfSigned issuer says that it cannot serve a volume', () => {
  const message = 'Annotation "cert-manager.io/private-key-secret-name" missing or reference empty: secret name missing'
  expect(refusal(requestWith([{ ...failed, message }])).message).toContain('a SelfSigned issuer cannot serve a volume')
})
