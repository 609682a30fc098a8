import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Identity } from '../gen/csi/v1/csi_pb.ts'
import {
  AnswerRefusedError,
  IssuerRefusedError,
  IssuerUnavailableError,
  RequestDeniedError,
  RequesterGoneError,
  RequestFailedError,
  RequestGoneError,
  TokenMissingError,
} from '../issuer/errors.ts'
import { UnixClient } from '../runtime/grpc-client.ts'
import { implementation, serviceDefinition } from '../runtime/grpc-service.ts'
import { MountError } from '../volume/mounter.ts'
import { StoreError } from '../volume/store.ts'
import { InvalidAttributesError, InvalidCallError, NotReadyError, OtherTargetError, RefusedError } from './errors.ts'
import { callStatus } from './grpc-status.ts'
import { PodGoneError, PodUnreadableError } from './pod-metadata.ts'

const request = 'CertificateRequest sandbox/podpass-0f3c'

test.each([
  [new InvalidCallError('volume_id is missing'), 'INVALID_ARGUMENT'],
  [new InvalidAttributesError([{ attribute: 'a', message: 'b' }]), 'INVALID_ARGUMENT'],
  [new OtherTargetError('csi-1', '/a'), 'FAILED_PRECONDITION'],
  [new RefusedError('denied'), 'FAILED_PRECONDITION'],
  [new NotReadyError('not yet'), 'UNAVAILABLE'],
  [new PodGoneError('gone'), 'FAILED_PRECONDITION'],
  [new PodUnreadableError('forbidden'), 'UNAVAILABLE'],
  [new RequestDeniedError(request, 'no'), 'FAILED_PRECONDITION'],
  [new RequestFailedError(request, 'no'), 'FAILED_PRECONDITION'],
  [new RequestGoneError(request), 'FAILED_PRECONDITION'],
  [new RequesterGoneError('gone'), 'FAILED_PRECONDITION'],
  [new AnswerRefusedError(request, ['another key']), 'FAILED_PRECONDITION'],
  [new IssuerUnavailableError('down'), 'UNAVAILABLE'],
  [new IssuerRefusedError('forbidden'), 'UNAVAILABLE'],
  [new TokenMissingError('no token'), 'UNAVAILABLE'],
  [new MountError('unmount', '/a', 'EBUSY'), 'INTERNAL'],
  [new StoreError('odd'), 'INTERNAL'],
  [new TypeError('a bug'), 'INTERNAL'],
] as const)('%s is answered with %s and its own text', (error, code) => {
  expect(callStatus(error)).toEqual({ code: status[code], details: error.message })
})

test('what is thrown and is no error is INTERNAL', () => {
  expect(callStatus('odd')).toEqual({ code: status.INTERNAL, details: 'odd' })
  expect(callStatus(undefined)).toEqual({ code: status.INTERNAL, details: 'undefined' })
})

test('all problems of a volume are in one text', () => {
  const problems = [
    { attribute: 'csi.cert-manager.io/duration', message: 'must be longer than 0' },
    { attribute: 'csi.cert-manager.io/layout', message: 'unsupported' },
  ]
  expect(callStatus(new InvalidAttributesError(problems)).details).toBe(
    'csi.cert-manager.io/duration: must be longer than 0; csi.cert-manager.io/layout: unsupported',
  )
})

test('a long text is cut, and one that just fits is not', () => {
  expect(callStatus(new Error('x'.repeat(4000))).details).toBe('x'.repeat(4000))
  expect(callStatus(new Error('x'.repeat(4001))).details).toBe(`${'x'.repeat(3999)}…`)
})

test('whatever the text, it reaches the caller, and the connection goes on', async () => {
  const texts = [
    'x',
    'x'.repeat(1_000_000),
    '漢'.repeat(1_000_000),
    `x${'🙂'.repeat(3000)}`,
    '\n\u0000%25',
    '\ud800 half a pair',
  ]
  const folder = mkdtempSync(join(tmpdir(), 'podpass-'))
  const server = new Server()
  const queue = [...texts]
  server.addService(
    serviceDefinition(Identity),
    implementation<typeof Identity>({
      probe: (_call, answer) => answer(callStatus(new InvalidCallError(queue.shift() ?? ''))),
      getPluginInfo: () => {},
      getPluginCapabilities: () => {},
    }),
  )
  const address = join(folder, 'csi.sock')
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${address}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    )
  })
  const client = new UnixClient(address)
  try {
    for (const text of texts) {
      const { details } = callStatus(new InvalidCallError(text))
      await expect(client.call(Identity.method.probe, {})).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details,
      })
      expect(details.length).toBeLessThanOrEqual(4000)
      expect(details.slice(0, 1)).toBe(text.toWellFormed().slice(0, 1))
    }
  } finally {
    client.close()
    server.forceShutdown()
    rmSync(folder, { recursive: true })
  }
})
