import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { CertificateSigningRequest } from '../kubernetes/certificates.ts'
import { createCertificateRequest } from '../x509/certificate-request.ts'
import { publicKeyDer } from '../x509/key.ts'
import { newKey, webNames } from '../x509/test-pki.ts'
import type { IssuanceRequest } from './issuer.ts'
import { isSameSigningRequest, ownerOf, signingRequest, signingRequestNames } from './signing-request.ts'

const key = newKey()
const request: IssuanceRequest = {
  id: '0123456789abcdef0123456789abcdef',
  volumeId: 'csi-1',
  pod: { namespace: 'sandbox', name: 'web', uid: 'uid-1', serviceAccount: 'default' },
  issuer: { name: 'example.com/serving', kind: 'Signer', group: 'certificates.k8s.io' },
  csr: createCertificateRequest(key, { subject: [], names: webNames }),
  usages: ['digital signature', 'server auth'],
  isCA: false,
  duration: 3600_000,
  annotations: { 'example.com/team': 'web', 'podpass.io/volume': 'csi-of-somebody-else' },
}
const [name = ''] = signingRequestNames(request)
const wanted = signingRequest(request, 'node-1', name)
const username = 'system:serviceaccount:sandbox:default'
const stored: CertificateSigningRequest = { ...wanted, spec: { ...wanted.spec, username } }

test('the name of a request holds 128 bits of the hash of its key, and differs for two requests with one key', () => {
  const hash = createHash('sha256').update(publicKeyDer(key)).digest('hex')
  expect(name).toBe(`podpass-${hash.slice(0, 32)}-01234567`)
  const again = { ...request, id: 'fedcba9876543210fedcba9876543210' }
  expect(signingRequestNames(again)[0]).toBe(`podpass-${hash.slice(0, 32)}-fedcba98`)
})

test('a request has four names, the same ones after a restart', () => {
  const id = '00000000111111112222222233333333'
  const names = signingRequestNames({ ...request, id })
  expect(new Set(names).size).toBe(4)
  expect(signingRequestNames({ ...request, id })).toEqual(names)
})

test('a request asks the signer for what the volume asks for, and says whose it is, whatever its author has annotated', () => {
  expect(wanted.spec).toEqual({
    request: Buffer.from(request.csr).toString('base64'),
    signerName: 'example.com/serving',
    expirationSeconds: 3600,
    usages: ['digital signature', 'server auth'],
  })
  expect(wanted.metadata.annotations).toEqual({
    'example.com/team': 'web',
    'podpass.io/node': 'node-1',
    'podpass.io/volume': 'csi-1',
    'podpass.io/request': request.id,
  })
  expect(ownerOf(wanted.metadata, 'node-1')).toEqual({ volumeId: 'csi-1', requestId: request.id })
})

test('what is found under the name of a request is that request only where nothing of it differs', () => {
  expect(isSameSigningRequest(stored, wanted, username)).toBe(true)
  const { spec, metadata } = stored
  const annotated = (key: string): CertificateSigningRequest => ({
    ...stored,
    metadata: { ...metadata, annotations: { ...metadata.annotations, [key]: 'another' } },
  })
  const others: CertificateSigningRequest[] = [
    { ...stored, spec: { ...spec, request: 'AAAA' } },
    { ...stored, spec: { ...spec, signerName: 'example.com/other' } },
    { ...stored, spec: { ...spec, usages: ['server auth', 'digital signature'] } },
    { ...stored, spec: { ...spec, username: 'mallory' } },
    { ...stored, metadata: { ...metadata, labels: {} } },
    annotated('podpass.io/node'),
    annotated('podpass.io/volume'),
    annotated('podpass.io/request'),
  ]
  for (const other of others) expect(isSameSigningRequest(other, wanted, username)).toBe(false)
  expect(isSameSigningRequest(stored, wanted, 'mallory')).toBe(false)
  expect(isSameSigningRequest({ ...stored, spec: wanted.spec }, wanted, undefined)).toBe(false)
})

test('requests of other nodes, other programs and without an id belong to no volume here', () => {
  const { metadata } = wanted
  expect(ownerOf(metadata, 'node-2')).toBeUndefined()
  expect(ownerOf({ ...metadata, name: 'node-csr-1' }, 'node-1')).toBeUndefined()
  const { 'podpass.io/request': _id, ...annotations } = metadata.annotations ?? {}
  expect(ownerOf({ ...metadata, annotations }, 'node-1')).toBeUndefined()
})
