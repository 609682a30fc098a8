import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAllowedId } from './allowed-ids.ts'

describe.each<[string, readonly string[], readonly string[]]>([
  [
    '/teams/{namespace}/*',
    ['/teams/shop/web', '/teams/shop/a.b'],
    ['/teams/shop', '/teams/shop/a/b', '/teams/bank/web', '/x/teams/shop/web'],
  ],
  ['/ns/{namespace}/**', ['/ns/shop/sa/web', '/ns/shop/x'], ['/ns/shop', '/ns/bank/x', '/ns/shop2/x']],
  ['/web-*', ['/web-1', '/web-a-b'], ['/web-', '/web', '/web-1/x']],
  ['/*-*-x', ['/a-b-x', '/a-b-c-x'], ['/a-x', '/--x', '/a--x']],
  ['/*', ['/a'], ['/a/b', '/']],
  ['/**', ['/a', '/a/b'], []],
  ['/a.b', ['/a.b'], ['/axb']],
  ['/{namespace}-{namespace}', ['/shop-shop'], ['/shop-bank']],
])('%s', (pattern, allowed, others) => {
  const rules = [{ namespaces: 'shop', paths: [pattern] }]
  test.each(allowed)('allows %s', (path) => expect(isAllowedId(rules, 'shop', path)).toBe(true))
  test.each(others)('does not allow %s', (path) => expect(isAllowedId(rules, 'shop', path)).toBe(false))
})

test('a namespace has what any of its rules allows, and none without a rule', () => {
  const rules = [
    { namespaces: 'team-*', paths: ['/a'] },
    { namespaces: '*-x', paths: ['/b'] },
  ]
  const allowed = (namespace: string): readonly string[] =>
    ['/a', '/b'].filter((path) => isAllowedId(rules, namespace, path))
  expect(allowed('team-x')).toEqual(['/a', '/b'])
  expect(allowed('team-')).toEqual(['/a'])
  expect(allowed('team')).toEqual([])
})

test('a pattern means what a regular expression would', () => {
  const path = fc
    .array(fc.stringMatching(/^[ab-]{1,5}$/), { minLength: 1, maxLength: 3 })
    .map((segments) => `/${segments.join('/')}`)
  const pattern = fc
    .tuple(
      fc.array(
        fc.stringMatching(/^[ab*-]{1,5}$/).filter((text) => !text.includes('**')),
        { minLength: 1, maxLength: 3 },
      ),
      fc.boolean(),
    )
    .map(([segments, rest]) => `/${segments.join('/')}${rest ? '/**' : ''}`)
  fc.assert(
    fc.property(pattern, path, (given, tried) => {
      const source = given.replace(/\/\*\*$/, '(?:/[^/]+)+').replaceAll('*', '[^/]+')
      expect(isAllowedId([{ namespaces: '*', paths: [given] }], 'x', tried)).toBe(new RegExp(`^${source}$`).test(tried))
    }),
    { numRuns: 2000 },
  )
})
