import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CertificateSigningRequest } from '../kubernetes/certificates.ts'
import type { Condition, ObjectMeta } from '../kubernetes/object.ts'
import { RequestDeniedError, RequestFailedError } from './errors.ts'
import { signingRequestOutcome } from './signing-request-outcome.ts'

const chain = '-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n'
const certificate = Buffer.from(chain).toString('base64')

function requestWith(
  conditions: readonly Condition[] | undefined,
  given?: string,
  metadata: ObjectMeta = {},
): CertificateSigningRequest {
  const status = { ...(conditions && { conditions }), ...(given !== undefined && { certificate: given }) }
  return { metadata, spec: { request: '', signerName: 'example.com/serving' }, status }
}

const approved: Condition = { type: 'Approved', status: 'True', reason: 'KubectlApprove', message: 'approved' }
/** As kubectl and the kube-controller-manager write them. */
const denied: Condition = { type: 'Denied', status: 'True', reason: 'KubectlDeny', message: 'This CSR was denied' }
const failed: Condition = { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: 'bad usages' }

function refusal(request: CertificateSigningRequest): Error {
  const outcome = signingRequestOutcome(request)
  if (outcome.is !== 'refused') throw new Error(`it is ${outcome.is}`)
  return outcome.error('CertificateSigningRequest podpass-1')
}

test.each([
  ['without a status', { ...requestWith(undefined), status: undefined }, 'it waits for approval'],
  ['without conditions', requestWith(undefined), 'it waits for approval'],
  ['that is approved', requestWith([approved]), 'it is approved and waits for its signer'],
  ['that has a certificate nobody has approved', requestWith([], certificate), 'it waits for approval'],
  ['with an empty certificate', requestWith([approved], ''), 'it is approved and waits for its signer'],
])('a request %s is waiting', (_what, request, state) => {
  expect(signingRequestOutcome(request as CertificateSigningRequest)).toEqual({ is: 'waiting', state })
})

test('an approved request with a certificate is issued, without a CA', () => {
  const outcome = signingRequestOutcome(requestWith([approved], certificate))
  expect(outcome).toEqual({ is: 'issued', certificate: { chain, ca: undefined } })
})

test('a denial says who has denied, why, and what follows', () => {
  const managedFields = [
    { manager: 'podpass', subresource: '' },
    { manager: 'kubectl-certificate', subresource: 'approval' },
  ]
  const error = refusal(requestWith([denied], undefined, { managedFields }))
  expect(error).toBeInstanceOf(RequestDeniedError)
  expect(error.message).toContain(
    'CertificateSigningRequest podpass-1 was denied: by kubectl-certificate, KubectlDeny: This CSR was denied; it stays so',
  )
  expect(error.message).toContain('"podpass driver renew"')
})

test('a failure says why, also without any word of its signer', () => {
  expect(refusal(requestWith([approved, failed]))).toBeInstanceOf(RequestFailedError)
  expect(refusal(requestWith([failed])).message).toContain('failed: SignerValidationFailure: bad usages')
  expect(refusal(requestWith([{ type: 'Failed', status: 'True' }])).message).toContain('no reason was given')
})

test('whatever stands in a request, it is issued exactly where it is approved, neither denied nor failed, and has a certificate', () => {
  const condition = fc.record({
    type: fc.constantFrom('Approved', 'Denied', 'Failed', 'Ready'),
    status: fc.constantFrom('True' as const, 'False' as const, 'Unknown' as const),
  })
  fc.assert(
    fc.property(
      fc.uniqueArray(condition, { selector: ({ type }) => type }),
      fc.constantFrom(undefined, '', certificate),
      (conditions, given) => {
        const holds = (type: string): boolean =>
          conditions.some((condition) => condition.type === type && condition.status === 'True')
        const isIssued = holds('Approved') && !holds('Denied') && !holds('Failed') && given === certificate
        expect(signingRequestOutcome(requestWith(conditions, given)).is === 'issued').toBe(isIssued)
      },
    ),
  )
})
