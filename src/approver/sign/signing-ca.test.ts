import { describe, expect, test } from 'vitest'
import { silentLog } from '../../runtime/log.ts'
import { encodePrivateKey, generateKeySync, type KeySpec } from '../../x509/key.ts'
import { day, hour, minute, newKey, now, testAuthority, testLeaf } from '../../x509/test-pki.ts'
import { CaShelf, chooseCa } from './ca-shelf.ts'
import { deepCa, materialOfChain, rootCa } from './fixtures/certificate-authorities.ts'
import { type CaMaterial, readSigningCa, SigningCaError } from './signing-ca.ts'

const root = testAuthority('root')
const good = materialOfChain(root)

describe('a CA', () => {
  test.each<[string, KeySpec]>([
    ['RSA 2048', { algorithm: 'RSA', size: 2048 }],
    ['P-256', { algorithm: 'ECDSA', size: 256 }],
    ['P-384', { algorithm: 'ECDSA', size: 384 }],
    ['Ed25519', { algorithm: 'Ed25519' }],
  ])('with keys of %s and an intermediate is read, and knows what stands between leaf and root', (_name, spec) => {
    const ca = deepCa(now, spec)
    expect(ca.intermediates.map(({ subject }) => subject)).toEqual(['CN=issuing', 'CN=middle'])
    expect(ca.root.subject).toBe('CN=root')
    expect(ca.notAfter).toBe(now + 9 * day)
  })

  test('that signed itself needs no ca.crt', () => {
    const ca = readSigningCa({ ...good, root: '' }, now)
    expect([ca.intermediates, ca.root.subject]).toEqual([[], 'CN=root'])
  })

  test('ends with the first of its path', () => {
    const above = testAuthority('above', { lifetime: 2 * day })
    const own = testAuthority('own', { parent: above, now, lifetime: 9 * day })
    expect(readSigningCa(materialOfChain(own, above), now).notAfter).toBe(now + day)
  })
})

const leafKey = newKey()
const leaf = testLeaf(root, leafKey)
const middle = testAuthority('middle', { parent: root })
const own = testAuthority('own', { parent: middle })
const full = testAuthority('full', { pathLength: 0 })

test.each<[string, CaMaterial, string]>([
  ['nothing', { certificate: '', key: good.key, root: '' }, 'tls.crt holds no certificate'],
  ['what is no PEM', { ...good, certificate: '-----BEGIN CERTIFICATE-----' }, 'tls.crt: broken PEM'],
  ['a broken key', { ...good, key: 'secret' }, 'tls.key: expected one unencrypted private key in PEM'],
  ['another key', { ...good, key: encodePrivateKey(newKey(), 'PKCS8') }, 'tls.key is not the key of CN=root'],
  [
    'a leaf',
    { certificate: leaf.pem, key: encodePrivateKey(leafKey, 'PKCS8'), root: good.root },
    'CN=web is no CA: its basic constraints do not say so',
  ],
  [
    'an old RSA key',
    materialOfChain(testAuthority('old', { key: generateKeySync({ algorithm: 'RSA', size: 1024 }) })),
    'has 1024 bits',
  ],
  [
    'a chain out of order',
    { ...materialOfChain(own, middle, root), certificate: own.certificate.pem + root.certificate.pem },
    'tls.crt is not in order: CN=root, behind CN=own, is not CN=middle',
  ],
  ['no root', { ...materialOfChain(own, middle, root), root: '' }, 'the root of CN=own is missing'],
  [
    'the root of others',
    { ...materialOfChain(own, middle, root), root: full.certificate.pem },
    'what CN=own signs does not verify',
  ],
  ['a leaf as root', { ...materialOfChain(own, middle, root), root: leaf.pem }, 'ca.crt: CN=web is no CA'],
  ['an end in the past', materialOfChain(testAuthority('late', { lifetime: hour })), 'CN=late expired at'],
  [
    'a beginning in the future',
    materialOfChain(testAuthority('early', { now: now + hour })),
    'CN=early does not hold before',
  ],
])('%s is no CA, and is told so', (_what, material, why) => {
  expect(() => readSigningCa(material, now)).toThrow(SigningCaError)
  expect(() => readSigningCa(material, now)).toThrow(why)
})

test('a path length that leaves no room for a CA is found when the CA is read', () => {
  const tight = testAuthority('tight', { pathLength: 1 })
  const lower = testAuthority('lower', { parent: tight, pathLength: 0 })
  expect(readSigningCa(materialOfChain(lower, tight), now).root.subject).toBe('CN=tight')
})

describe('the shelf', () => {
  test('keeps the last good CA, says what is wrong, and is well again with the next good one', () => {
    const shelf = new CaShelf(silentLog)
    expect(shelf.problem).toBe('the CA was not read yet')
    expect(shelf.offer(good, now)).toBe(true)
    expect(shelf.offer({ ...good, key: 'broken' }, now)).toBe(false)
    expect([shelf.cas.length, shelf.problem]).toEqual([1, expect.stringContaining('tls.key')])
    expect(shelf.offer(good, now)).toBe(false)
    expect(shelf.problem).toBeUndefined()
  })

  test('keeps former CAs until the newer one signs', () => {
    const shelf = new CaShelf(silentLog)
    for (const name of ['a', 'b', 'c', 'd']) shelf.offer(materialOfChain(testAuthority(name)), now)
    expect(shelf.cas.map((ca) => ca.root.subject)).toEqual(['CN=d', 'CN=c', 'CN=b'])
    const [, second] = shelf.cas
    if (second !== undefined) shelf.keepFrom(second)
    expect(shelf.cas.map((ca) => ca.root.subject)).toEqual(['CN=d', 'CN=c'])
  })
})

describe('to sign is chosen', () => {
  const [young, old] = [rootCa(now, {}, 'young'), rootCa(now, {}, 'old')]
  const starts = (of: Readonly<Record<string, number>>) => (ca: typeof young) => of[ca.root.subject]

  test('the newest CA whose root may sign', () => {
    expect(chooseCa([young, old], starts({ 'CN=young': now, 'CN=old': 0 }), now, now)).toEqual({ is: 'ca', ca: young })
    expect(chooseCa([young, old], starts({ 'CN=young': now + 1, 'CN=old': 0 }), now, now)).toEqual({
      is: 'ca',
      ca: old,
    })
    expect(chooseCa([young, old], starts({ 'CN=old': 0 }), now, now)).toEqual({ is: 'ca', ca: old })
  })

  test('none where nothing is published, and the newest says why', () => {
    expect(chooseCa([young], starts({ 'CN=young': now + 5 * minute }), now, now)).toEqual({
      is: 'none',
      why: 'the trust in CN=young, until 2026-12-01T10:00:00Z is on its way until 2026-11-22T10:05:00Z',
    })
    expect(chooseCa([], starts({}), now, now)).toEqual({ is: 'none', why: 'there is no CA' })
  })

  test('none that ends too soon', () => {
    const short = rootCa(now, { lifetime: day + 30 * minute }, 'short')
    expect(chooseCa([short], () => 0, now + hour, now)).toMatchObject({ is: 'none' })
    expect(chooseCa([short, old], () => 0, now + hour, now)).toEqual({ is: 'ca', ca: old })
  })
})
