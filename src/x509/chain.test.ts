import { describe, expect, test } from 'vitest'
import type { Certificate } from './certificate.ts'
import { describeCertificate, formatTime, verifyChain } from './chain.ts'
import { buildSubject } from './name.ts'
import { day, hour, minute, newKey, now, testAuthority, testLeaf } from './test-pki.ts'

const root = testAuthority('root')
const upper = testAuthority('upper', { parent: root })
const lower = testAuthority('lower', { parent: upper })
const leaf = testLeaf(lower, newKey())
const intermediates = [upper.certificate, lower.certificate]

function pathOf(result: ReturnType<typeof verifyChain>): string[] | string {
  return result.ok ? result.path.map(({ subject }) => subject) : result.reason
}

test('a path leads from the leaf to the root, whatever the order of the intermediates', () => {
  const path = ['CN=web', 'CN=lower', 'CN=upper', 'CN=root']
  expect(pathOf(verifyChain(leaf, intermediates, [root.certificate], now))).toEqual(path)
  expect(pathOf(verifyChain(leaf, intermediates.toReversed(), [root.certificate], now))).toEqual(path)
})

test('a path ends at the first trusted certificate, which need not be self-signed', () => {
  expect(pathOf(verifyChain(leaf, intermediates, [root.certificate, lower.certificate], now))).toEqual([
    'CN=web',
    'CN=lower',
  ])
  expect(pathOf(verifyChain(leaf, [], [leaf], now))).toEqual(['CN=web'])
})

test('another CA of the same name is passed over', () => {
  const namesake = testAuthority('lower', { parent: upper })
  expect(verifyChain(leaf, [namesake.certificate, ...intermediates], [root.certificate], now).ok).toBe(true)
})

test('a cross-signed CA leads to whichever root is trusted', () => {
  const otherRoot = testAuthority('other root')
  const crossSigned = testAuthority('upper', { parent: otherRoot, key: upper.key })
  const both = [upper.certificate, crossSigned.certificate, lower.certificate]
  expect(pathOf(verifyChain(leaf, both, [otherRoot.certificate], now))).toEqual([
    'CN=web',
    'CN=lower',
    'CN=upper',
    'CN=other root',
  ])
})

test('certificates that sign each other lead nowhere', () => {
  const first = testAuthority('first')
  const second = testAuthority('second', { parent: first })
  const back = testAuthority('first', { parent: second, key: first.key })
  const leaf = testLeaf(second, newKey())
  const result = verifyChain(leaf, [second.certificate, back.certificate], [root.certificate], now)
  expect(result).toEqual({
    ok: false,
    reason: 'nothing that is given or trusted has the name of its issuer, CN=second',
  })
})

test('a tangle of namesakes is given up', () => {
  const key = newKey()
  const tangle = Array.from({ length: 12 }, () =>
    testAuthority('knot', { key, parent: testAuthority('knot', { key }) }),
  )
  const leaf = testLeaf(tangle[0] ?? root, newKey())
  const knots = tangle.map(({ certificate }) => certificate)
  const result = verifyChain(leaf, knots, [root.certificate], now)
  expect(result).toEqual({ ok: false, reason: 'there are too many possible paths' })
})

describe('refuses', () => {
  const namesake = testAuthority('root')
  const noCA = testLeaf(lower, newKey(), { subject: buildSubject({ commonName: 'no CA' }) })
  const old = testAuthority('old', { now: now - 2 * day, lifetime: 2 * day + minute })

  test.each<[string, Certificate, readonly Certificate[], readonly Certificate[], number, string]>([
    [
      'a missing intermediate',
      leaf,
      [upper.certificate],
      [root.certificate],
      now,
      'nothing that is given or trusted has the name of its issuer, CN=lower',
    ],
    [
      'no trusted certificate',
      leaf,
      intermediates,
      [],
      now,
      'nothing that is given or trusted has the name of its issuer, CN=root',
    ],
    ['another key under the name', leaf, intermediates, [namesake.certificate], now, 'CN=root did not sign CN=upper'],
    [
      'a leaf that expired',
      leaf,
      intermediates,
      [root.certificate],
      now + 2 * hour,
      'CN=web expired at 2026-11-22T11:00:00Z',
    ],
    [
      'a leaf that does not hold yet',
      leaf,
      intermediates,
      [root.certificate],
      now - 1,
      'CN=web does not hold before 2026-11-22T10:00:00Z',
    ],
    [
      'a CA that expired',
      { ...testLeaf(old, newKey()), notAfter: now + day },
      [],
      [old.certificate],
      now + hour,
      'CN=old expired at 2026-11-22T10:01:00Z',
    ],
    [
      'an issuer that is no CA',
      forged(noCA),
      [noCA, lower.certificate],
      [upper.certificate],
      now,
      'CN=no CA is not a CA',
    ],
    [
      'an issuer that may not sign',
      forged(lower.certificate),
      [],
      [{ ...lower.certificate, usages: ['digital signature'] }],
      now,
      'CN=lower may not sign certificates',
    ],
    [
      'a path that is too long',
      leaf,
      [lower.certificate],
      [{ ...upper.certificate, pathLength: 0 }],
      now,
      'CN=upper allows 0 CAs below it, and there are 1',
    ],
  ])('%s', (_name, leaf, intermediates, roots, at, reason) => {
    expect(verifyChain(leaf, intermediates, roots, at)).toEqual({ ok: false, reason })
  })

  /** A leaf that says who issued it, which the check of CA rights must not get past. */
  function forged(issuer: Certificate): Certificate {
    return { ...leaf, rawIssuer: issuer.rawSubject, issuer: issuer.subject }
  }
})

test('a beginning within the skew is let through', () => {
  const at = now - 4 * minute
  expect(verifyChain(leaf, intermediates, [root.certificate], at, 5 * minute).ok).toBe(true)
  expect(verifyChain(leaf, intermediates, [root.certificate], at, 3 * minute).ok).toBe(false)
})

test('self-issued certificates take no room of a path length', () => {
  const top = testAuthority('rolled', { pathLength: 0 })
  // A CA that certifies its own next key (RFC 5280 §4.2.1.9); createAuthority would refuse to make it, so it is told to.
  const unlimited = { ...top, certificate: { ...top.certificate, pathLength: undefined } }
  const next = testAuthority('rolled', { parent: unlimited })
  expect(verifyChain(testLeaf(next, newKey()), [next.certificate], [top.certificate], now).ok).toBe(true)
})

test('a root of version 1 may sign, and no other certificate of that version', () => {
  const ancient = { ...root.certificate, version: 1, isCA: false, usages: [] }
  expect(verifyChain(leaf, intermediates, [ancient], now).ok).toBe(true)
  const between = { ...upper.certificate, version: 1, isCA: false, usages: [] }
  const result = verifyChain(leaf, [between, lower.certificate], [root.certificate], now)
  expect(result).toEqual({ ok: false, reason: 'CN=upper is not a CA' })
})

test('a certificate without a subject is named by its serial number', () => {
  expect(describeCertificate(testLeaf(root, newKey(), { subject: [] }))).toMatch(/^certificate [0-9a-f]{32}$/)
})

test('times are written in whole seconds', () => {
  expect(formatTime(now + 999)).toBe('2026-11-22T10:00:00Z')
})
