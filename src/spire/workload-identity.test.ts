import { create, type MessageInitShape } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import type { KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type X509SVID, X509SVIDResponseSchema, X509SVIDSchema } from '../gen/spiffe/workload_pb.ts'
import type { Certificate } from '../x509/certificate.ts'
import { noNames } from '../x509/general-names.ts'
import { newKey, testLeaf } from '../x509/test-pki.ts'
import { svidAuthority, svidLeaf } from './fixtures/svid.ts'
import { readWorkloadIdentity, WorkloadIdentityError } from './workload-identity.ts'

const root = svidAuthority()
const intermediate = svidAuthority(root)
const id = 'spiffe://example.org/registrar'
const key = newKey()
const leaf = svidLeaf(intermediate, key, id)

const authorityLeaf = testLeaf(root, key, { names: { ...noNames, uri: [id] }, isCA: true }, Date.now())

const concatenated = (...certificates: readonly Certificate[]): Uint8Array =>
  Buffer.concat(certificates.map(({ der }) => der))

const pkcs8 = (key: KeyObject): Uint8Array => key.export({ type: 'pkcs8', format: 'der' })

function svid(changes: MessageInitShape<typeof X509SVIDSchema> = {}): X509SVID {
  return create(X509SVIDSchema, {
    spiffeId: id,
    x509Svid: concatenated(leaf, intermediate.certificate),
    x509SvidKey: pkcs8(key),
    bundle: concatenated(root.certificate, intermediate.certificate),
    ...changes,
  })
}

const read = (...svids: readonly X509SVID[]) =>
  readWorkloadIdentity(create(X509SVIDResponseSchema, { svids: [...svids] }), 'example.org')

test('an SVID has its ID, its key, its chain and the bundle', () => {
  const identity = read(svid())
  expect(identity.spiffeId).toBe(id)
  expect(identity.key.equals(key)).toBe(true)
  expect(identity.chain.map(({ fingerprint }) => fingerprint)).toEqual([
    leaf.fingerprint,
    intermediate.certificate.fingerprint,
  ])
  expect(identity.bundle).toHaveLength(2)
})

test('the first SVID of the own trust domain is taken', () => {
  const foreign = svid({ spiffeId: 'spiffe://example.org.evil.test/registrar' })
  const second = 'spiffe://example.org/second'
  const other = svid({ spiffeId: second, x509Svid: concatenated(svidLeaf(root, key, second)) })
  expect(read(foreign, svid(), other).spiffeId).toBe(id)
  expect(() => read(foreign)).toThrow('no SVID of trust domain example.org')
  expect(() => read()).toThrow('none at all')
})

/** The ID that is read, or the name of the error. */
function outcomeOf(changes: MessageInitShape<typeof X509SVIDSchema>): string {
  try {
    return read(svid(changes)).spiffeId
  } catch (error) {
    return (error as Error).name
  }
}

describe('refuses', () => {
  test.each<readonly [string, MessageInitShape<typeof X509SVIDSchema>, string]>([
    ['no certificate', { x509Svid: new Uint8Array() }, 'holds no certificate'],
    ['a certificate that is cut off', { x509Svid: leaf.der.subarray(0, -1) }, 'its SVID cannot be read'],
    ['another ID', { x509Svid: concatenated(svidLeaf(root, key, 'spiffe://example.org/other')) }, 'not an SVID of'],
    ['two IDs', { x509Svid: concatenated(svidLeaf(root, key, id, 'spiffe://example.org/b')) }, 'not an SVID of'],
    ['a CA', { x509Svid: concatenated(authorityLeaf) }, 'is a CA'],
    ['another key', { x509SvidKey: pkcs8(newKey()) }, 'its key is not the one'],
    ['a broken key', { x509SvidKey: new Uint8Array([1, 2, 3]) }, 'its key is not PKCS#8'],
    ['an empty bundle', { bundle: new Uint8Array() }, 'its bundle holds no certificate'],
    ['a broken bundle', { bundle: new Uint8Array([0x30, 0x05, 0x01]) }, 'its bundle cannot be read'],
  ])('%s', (_, changes, problem) => {
    expect(() => read(svid(changes))).toThrow(WorkloadIdentityError)
    expect(() => read(svid(changes))).toThrow(problem)
  })

  test('whatever else is sent, with no other error', () => {
    const part = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(leaf.der, root.certificate.der, pkcs8(key)))
    const field = fc.constantFrom('x509Svid', 'x509SvidKey', 'bundle')
    fc.assert(
      fc.property(field, fc.array(part, { maxLength: 3 }), (field, parts) => {
        expect([id, 'WorkloadIdentityError']).toContain(outcomeOf({ [field]: Buffer.concat(parts) }))
      }),
    )
  })
})
