import { expect, test } from 'vitest'
import { ApiError, ConnectionError } from '../kubernetes/errors.ts'
import { createError } from './cert-manager-error.ts'
import { IssuerRefusedError, IssuerUnavailableError, RequestDeniedError, RequesterGoneError } from './errors.ts'

const caller = "the driver's service account"

function apiError(status: number, answer: ConstructorParameters<typeof ApiError>[2]): ApiError {
  return new ApiError('POST /apis/cert-manager.io/v1/namespaces/sandbox/certificaterequests', status, answer, undefined)
}

/** Answers as an API server gives them. */
const answers = {
  noNamespace: apiError(404, {
    reason: 'NotFound',
    message: 'namespaces "sandbox" not found',
    details: { name: 'sandbox', kind: 'namespaces' },
  }),
  terminating: apiError(403, {
    reason: 'Forbidden',
    message: 'unable to create new content in namespace sandbox because it is being terminated',
    details: { causes: [{ reason: 'NamespaceTerminating', message: 'namespace sandbox is being terminated' }] },
  }),
  noKind: apiError(404, {
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
    details: {},
  }),
  forbidden: apiError(403, { reason: 'Forbidden', message: 'User "x" cannot create resource' }),
  unauthorized: apiError(401, { reason: 'Unauthorized', message: 'Unauthorized' }),
  invalid: apiError(422, { reason: 'Invalid', message: 'spec.usages: Unsupported value' }),
  bad: apiError(400, { reason: 'BadRequest', message: 'admission webhook denied the request' }),
  throttled: apiError(429, { reason: 'TooManyRequests', message: 'too many requests' }),
  broken: apiError(500, { reason: 'InternalError', message: 'failed calling webhook' }),
  silent: apiError(503, {}),
}

test.each([
  ['a namespace that is not there', answers.noNamespace, RequesterGoneError, true, 'its namespace is gone'],
  ['a namespace that is going', answers.terminating, RequesterGoneError, true, 'its namespace is gone'],
  ['a cluster without cert-manager', answers.noKind, IssuerRefusedError, false, 'install cert-manager'],
  ['missing rights', answers.forbidden, IssuerRefusedError, false, `check the rights of ${caller}`],
  ['a token that nobody knows', answers.unauthorized, IssuerRefusedError, false, `check the rights of ${caller}`],
  ['an object that is not valid', answers.invalid, RequestDeniedError, true, 'was denied:'],
  ['a webhook that refuses', answers.bad, RequestDeniedError, true, 'admission webhook denied the request'],
  ['too many calls', answers.throttled, IssuerUnavailableError, false, 'too many requests'],
  ['a webhook that is down', answers.broken, IssuerUnavailableError, false, 'failed calling webhook'],
  ['an answer without a word', answers.silent, IssuerUnavailableError, false, 'was answered with 503'],
])('%s', (_what, answer, Kind, final, text) => {
  const error = createError(answer, 'sandbox/podpass-0f3c', caller)
  expect(error).toBeInstanceOf(Kind)
  expect(error.final).toBe(final)
  expect(error.message).toMatch(/^CertificateRequest sandbox\/podpass-0f3c /)
  expect(error.message).toContain(text)
})

test('an API server that cannot be reached is trouble that passes, with its cause', () => {
  const cause = new ConnectionError('connect ECONNREFUSED', 'not-executed')
  const error = createError(cause, 'sandbox/podpass-0f3c', caller)
  expect(error).toBeInstanceOf(IssuerUnavailableError)
  expect(error.message).toBe('CertificateRequest sandbox/podpass-0f3c cannot be created: connect ECONNREFUSED')
  expect(error.cause).toBe(cause)
})

test('what is thrown and is no error is told all the same', () => {
  expect(createError('odd', 'a/b', caller).message).toBe('CertificateRequest a/b cannot be created: odd')
})
