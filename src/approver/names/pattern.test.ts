import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type NameKind, nameKinds } from '../request/asked-names.ts'
import { parseUri } from '../request/uri.ts'
import { inRange, parseIpRange } from './ip-range.ts'
import { matchesDnsName, matchesName, matchesPart, patternProblem } from './pattern.ts'

describe.each<[NameKind, string, readonly string[], readonly string[]]>([
  [
    'dnsNames',
    '*.shop.svc',
    ['web.shop.svc', 'web-0.shop.svc'],
    ['shop.svc', 'a.b.shop.svc', 'web.shop.svc.local', '*.shop.svc', '.shop.svc'],
  ],
  ['dnsNames', 'web-*.Shop.svc', ['web-1.shop.svc'], ['web-.shop.svc', 'web.shop.svc', 'web-*.shop.svc']],
  ['dnsNames', 'web', ['web'], ['web.shop', 'www']],
  [
    'uris',
    'spiffe://td/ns/*/sa/web',
    ['spiffe://td/ns/shop/sa/web'],
    [
      'spiffe://td/ns/a/b/sa/web',
      'spiffe://td/ns//sa/web',
      'https://td/ns/shop/sa/web',
      'spiffe://TD.evil/ns/shop/sa/web',
      'spiffe://td/ns/*/sa/web',
      'spiffe://td:1/ns/shop/sa/web',
    ],
  ],
  ['uris', 'spiffe://*.example/a', ['spiffe://td.example/a'], ['spiffe://a.b.example/a', 'spiffe://example/a']],
  [
    'emailAddresses',
    '*@Example.com',
    ['ops@example.com'],
    ['ops@sub.example.com', '@example.com', 'ops@example.com.evil'],
  ],
  ['ipAddresses', '10.96.0.0/12', ['10.96.0.1', '10.111.255.255'], ['10.112.0.0', '10.95.0.1', '2001:db8::1', 'x']],
  ['ipAddresses', '2001:db8::/33', ['2001:db8::1', '2001:db8:7fff::'], ['2001:db8:8000::', '10.0.0.1']],
  ['ipAddresses', '10.0.0.7', ['10.0.0.7'], ['10.0.0.8']],
  ['organizations', 'team *', ['team a'], ['team ', 'team *', 'Team a']],
])('%s %s', (kind, pattern, matching, others) => {
  test.each(matching)('matches %s', (name) => expect(matchesName(kind, pattern, name)).toBe(true))
  test.each(others)('does not match %s', (name) => expect(matchesName(kind, pattern, name)).toBe(false))
})

test('a wildcard name matches only where wildcards are allowed, and only a whole label', () => {
  expect(matchesDnsName('*.shop.svc', '*.shop.svc', true)).toBe(true)
  expect(matchesDnsName('w*.shop.svc', '*.shop.svc', true)).toBe(false)
  expect(matchesDnsName('web.*.svc', '*.shop.svc', true)).toBe(false)
})

test.each<[NameKind, string]>([
  ['dnsNames', ''],
  ['dnsNames', '**.svc'],
  ['dnsNames', 'a..svc'],
  ['dnsNames', '*.*a*.svc'],
  ['dnsNames', 'a_b.svc'],
  ['uris', 'spiffe://td/a/../b'],
  ['uris', 'spiffe://td/%41'],
  ['uris', 'spiffe://td/a*b*'],
  ['uris', 'td/a'],
  ['emailAddresses', 'example.com'],
  ['ipAddresses', '10.0.0.0/33'],
  ['ipAddresses', '10.0.0.1/8'],
  ['ipAddresses', '::ffff:10.0.0.0/96'],
  ['ipAddresses', '10.*'],
  ['organizations', 'a*b*'],
])('the pattern %s %j is refused', (kind, pattern) => {
  expect(patternProblem(kind, pattern)).toBeTypeOf('string')
})

const part = fc.stringMatching(/^[a-z0-9]{1,6}$/)
const patternPart = fc.oneof(
  part,
  fc.constant('*'),
  part.map((text) => `${text}*`),
  part.map((text) => `*${text}`),
)

test('a pattern never matches a name of another number of labels, nor one with an asterisk', () => {
  fc.assert(
    fc.property(
      fc.array(patternPart, { minLength: 1, maxLength: 4 }),
      fc.array(fc.oneof(part, fc.constant('*')), { minLength: 1, maxLength: 4 }),
      (pattern, name) => {
        const matches = matchesDnsName(pattern.join('.'), name.join('.'))
        expect(matches && (name.length !== pattern.length || name.includes('*'))).toBe(false)
        const uri = `spiffe://td/${name.join('/')}`
        expect(
          matchesName('uris', `spiffe://td/${pattern.join('/')}`, uri) &&
            parseUri(uri)?.segments.length !== pattern.length,
        ).toBe(false)
      },
    ),
  )
})

test('a part of a pattern stands for what a regular expression would', () => {
  fc.assert(
    fc.property(patternPart, fc.stringMatching(/^[a-c*]{0,6}$/), (pattern, text) => {
      expect(matchesPart(pattern, text)).toBe(new RegExp(`^${pattern.replace('*', '[^*]+')}$`).test(text))
    }),
  )
})

test('an address is in its own block of any size, and a neighbour block never holds it', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.integer({ min: 1, max: 32 }), (number, prefix) => {
      const dotted = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
      const mask = (0xffffffff << (32 - prefix)) >>> 0
      const block = (number & mask) >>> 0
      const range = parseIpRange(`${dotted(block)}/${prefix}`)
      const other = parseIpRange(`${dotted((block ^ (1 << (32 - prefix))) >>> 0)}/${prefix}`)
      expect(range && inRange(range, dotted(number))).toBe(true)
      expect(other && inRange(other, dotted(number))).toBe(false)
    }),
  )
})

test('any text is a pattern or is refused, and no kind of name makes matching fail', () => {
  fc.assert(
    fc.property(fc.constantFrom(...nameKinds), fc.string(), fc.string(), (kind, pattern, name) => {
      expect(patternProblem(kind, pattern) ?? '').toBeTypeOf('string')
      expect(matchesName(kind, pattern, name)).toBeTypeOf('boolean')
    }),
  )
})
