import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AuthorityError } from './authority.ts'
import { verifyChain } from './chain.ts'
import { type KeySpec, decodePublicKey, generateKeySync, keyMatches } from './key.ts'
import { canonicalUsage, keyUsages } from './key-usage.ts'
import { buildSubject } from './name.ts'
import { day, hour, minute, newKey, now, testAuthority, testLeaf, webNames } from './test-pki.ts'

const root = testAuthority('root')

test('a root signs itself and is a CA without limit', () => {
  const { certificate, key } = root
  expect(certificate).toMatchObject({
    subject: 'CN=root',
    issuer: 'CN=root',
    isCA: true,
    pathLength: undefined,
    version: 3,
  })
  expect(certificate.usages).toEqual(['digital signature', 'cert sign', 'crl sign'])
  expect(keyMatches(key, certificate)).toBe(true)
  expect(new X509Certificate(certificate.der).verify(decodePublicKey(certificate.publicKey))).toBe(true)
})

describe.each<[string, KeySpec]>([
  ['RSA 2048', { algorithm: 'RSA', size: 2048 }],
  ['P-256', { algorithm: 'ECDSA', size: 256 }],
  ['P-384', { algorithm: 'ECDSA', size: 384 }],
  ['P-521', { algorithm: 'ECDSA', size: 521 }],
  ['Ed25519', { algorithm: 'Ed25519' }],
])('an authority with a key of %s', (_name, spec) => {
  test('signs certificates that verify', () => {
    const authority = testAuthority('ca', { key: generateKeySync(spec) })
    const leaf = testLeaf(authority, generateKeySync(spec), { names: webNames })
    expect(verifyChain(leaf, [], [authority.certificate], now).ok).toBe(true)
  })
})

test('a certificate says all that its profile says', () => {
  fc.assert(
    fc.property(
      fc.record({
        usages: fc.subarray([...keyUsages]),
        isCA: fc.boolean(),
        commonName: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
        names: fc.record({
          dns: fc.array(fc.domain()),
          ip: fc.array(fc.ipV4()),
          uri: fc.array(fc.webUrl()),
          email: fc.array(fc.emailAddress()),
        }),
        lifetime: fc.integer({ min: 1, max: 24 * 3600 }),
      }),
      ({ usages, isCA, commonName, names, lifetime }) => {
        const leaf = testLeaf(root, root.key, {
          usages,
          isCA,
          names,
          subject: buildSubject({ commonName }),
          notAfter: now + lifetime * 1000,
        })
        expect(leaf).toMatchObject({ isCA, commonName, names, notBefore: now, notAfter: now + lifetime * 1000 })
        const wanted = new Set([...usages.map(canonicalUsage), ...(isCA ? ['cert sign'] : [])])
        expect(new Set(leaf.usages)).toEqual(wanted)
      },
    ),
    { numRuns: 30 },
  )
})

test('names are critical where the subject is empty', () => {
  const critical = (commonName: string | undefined): boolean =>
    testLeaf(root, newKey(), { subject: buildSubject({ commonName }), names: webNames })
      .der.toHex()
      .includes('0603551d110101ff')
  expect(critical('web')).toBe(false)
  expect(critical(undefined)).toBe(true)
})

test('serial numbers are positive, of 16 bytes and not repeated', () => {
  const serials = Array.from({ length: 50 }, () => testLeaf(root, root.key).serial)
  expect(new Set(serials).size).toBe(50)
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/)
  for (const byte of [0, 0xff]) {
    const { certificate } = testAuthority('ca', { random: (size) => new Uint8Array(size).fill(byte) })
    expect(certificate.serial).toMatch(/^[4-7]/)
  }
})

test('key identifiers link the certificates, and are made as Go makes them', () => {
  const leaf = testLeaf(root, newKey())
  const id = root.certificate.subjectKeyId?.toHex() ?? ''
  expect(id).toMatch(/^[0-9a-f]{40}$/)
  expect(leaf.der.toHex()).toContain(`0603551d23041830168014${id}`)
  expect(testLeaf(root, ed25519(Uint8Array.from({ length: 32 }, (_, index) => index))).subjectKeyId?.toHex()).toBe(
    '56475aa75463474c0285df5dbf2bcab73da65135',
  )
})

test('times are cut to whole seconds, and the end to that of the authority', () => {
  const short = testAuthority('short', { now: now - minute, lifetime: 2 * minute })
  const leaf = testLeaf(short, newKey(), { notBefore: now + 999, notAfter: now + day })
  expect([leaf.notBefore, leaf.notAfter]).toEqual([now, now + minute])
})

test('ends after 2049 are written', () => {
  const lasting = testAuthority('lasting', { lifetime: 30 * 365 * day })
  expect(lasting.certificate.notAfter).toBe(now - day + 30 * 365 * day)
})

describe('refuses', () => {
  test('to sign before it holds and after it expired', () => {
    expect(() => testLeaf(testAuthority('early', { now: now + hour }), newKey())).toThrow(
      new AuthorityError('the CA CN=early does not hold before 2026-11-22T11:00:00Z'),
    )
    expect(() => testLeaf(testAuthority('late', { now: now - 2 * hour, lifetime: hour }), newKey())).toThrow(
      new AuthorityError('the CA CN=late expired at 2026-11-22T09:00:00Z'),
    )
  })

  test('a certificate that ends before it begins', () => {
    expect(() => testLeaf(root, newKey(), { notAfter: now })).toThrow(AuthorityError)
  })

  test('CAs where its path length leaves no room', () => {
    const lowest = testAuthority('lowest', { pathLength: 0 })
    const limited = testAuthority('limited', { pathLength: 1 })
    expect(() => testAuthority('below', { parent: lowest })).toThrow('the CA CN=lowest has a path length of 0')
    expect(() => testAuthority('below', { parent: limited, pathLength: 1 })).toThrow(AuthorityError)
    expect(testAuthority('below', { parent: limited, pathLength: 0 }).certificate.pathLength).toBe(0)
  })
})

function ed25519(seed: Uint8Array): KeyObject {
  const key = Buffer.from(`302e020100300506032b657004220420${seed.toHex()}`, 'hex')
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
}
