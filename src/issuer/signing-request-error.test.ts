import { expect, test } from 'vitest'
import { ApiError, ConnectionError } from '../kubernetes/errors.ts'
import { IssuerRefusedError, IssuerUnavailableError, RequestDeniedError } from './errors.ts'
import { signingRequestError } from './signing-request-error.ts'

function apiError(status: number, message: string): ApiError {
  return new ApiError('POST /apis/certificates.k8s.io/v1/certificatesigningrequests', status, { message }, undefined)
}

const caller = 'service account sandbox/default'

test.each([
  ['without the right', apiError(403, 'cannot create'), IssuerRefusedError, `check the rights of ${caller}`],
  ['without credentials', apiError(401, 'Unauthorized'), IssuerRefusedError, `check the rights of ${caller}`],
  ['without the API', apiError(404, 'not found'), IssuerRefusedError, 'does not serve certificates.k8s.io/v1'],
  ['that is invalid', apiError(422, 'spec.usages: Unsupported value'), RequestDeniedError, 'Unsupported value'],
  ['that is too large', apiError(413, 'too large'), RequestDeniedError, 'too large'],
  ['at a busy server', apiError(429, 'busy'), IssuerUnavailableError, 'busy'],
  ['at a broken server', apiError(500, 'broken'), IssuerUnavailableError, 'broken'],
  ['without a server', new ConnectionError('refused', 'not-executed'), IssuerUnavailableError, 'refused'],
  ['with anything else', 'odd', IssuerUnavailableError, 'odd'],
])('a request %s', (_what, error, kind, text) => {
  const made = signingRequestError(error, 'podpass-1', caller)
  expect(made).toBeInstanceOf(kind)
  expect(made.message).toContain('CertificateSigningRequest podpass-1')
  expect(made.message).toContain(text)
  expect(made.final).toBe(kind === RequestDeniedError)
})
