import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  formatSpiffeId,
  isReservedPath,
  isWithin,
  parseSpiffeId,
  pathProblem,
  trustDomainProblem,
} from './spiffe-id.ts'

test.each([
  ['spiffe://example.org/ns/shop/sa/web', 'example.org', '/ns/shop/sa/web'],
  ['spiffe://example.org', 'example.org', ''],
  ['spiffe://a_b-1.c/A.B/_-.x', 'a_b-1.c', '/A.B/_-.x'],
])('%s is a SPIFFE ID', (text, trustDomain, path) => {
  expect(parseSpiffeId(text)).toEqual({ trustDomain, path })
  expect(formatSpiffeId({ trustDomain, path })).toBe(text)
})

test.each([
  ['', 'cannot be empty'],
  ['example.org/a', 'scheme is missing or invalid'],
  ['SPIFFE://example.org/a', 'scheme is missing or invalid'],
  ['spiffe:///a', 'trust domain is missing'],
  ['spiffe://Example.org/a', 'trust domain characters are limited'],
  ['spiffe://u@example.org/a', 'trust domain characters are limited'],
  ['spiffe://example.org:80/a', 'trust domain characters are limited'],
  [`spiffe://${'a'.repeat(256)}/a`, 'trust domain is longer than 255 bytes'],
  ['spiffe://example.org/', 'path cannot have a trailing slash'],
  ['spiffe://example.org/a/', 'path cannot have a trailing slash'],
  ['spiffe://example.org//a', 'path cannot contain empty segments'],
  ['spiffe://example.org/a/../b', 'path cannot contain dot segments'],
  ['spiffe://example.org/.', 'path cannot contain dot segments'],
  ['spiffe://example.org/a b', 'path segment characters are limited'],
  ['spiffe://example.org/a%20b', 'path segment characters are limited'],
  ['spiffe://example.org/é', 'path segment characters are limited'],
  ['spiffe://example.org/a?b', 'path segment characters are limited'],
  ['spiffe://example.org/a#b', 'path segment characters are limited'],
  ['spiffe://example.org/a\n', 'path segment characters are limited'],
  [`spiffe://example.org/${'a'.repeat(2028)}`, 'is longer than 2048 bytes'],
])('%.60j is none', (text, problem) => {
  expect(parseSpiffeId(text)).toEqual({ problem: expect.stringContaining(problem) })
})

test('what can be read has a trust domain and path of the right form, and is written as it was', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^spiffe:\/\/[a-zA-Z._:@-]{0,4}[a-zA-Z./%?-]{0,8}$/))
  fc.assert(
    fc.property(text, (given) => {
      const id = parseSpiffeId(given)
      if ('problem' in id) return
      expect(trustDomainProblem(id.trustDomain)).toBeUndefined()
      expect(id.path === '' || pathProblem(id.path) === undefined).toBe(true)
      expect(formatSpiffeId(id)).toBe(given)
    }),
  )
})

test('a path lies within another one segment by segment', () => {
  expect(isWithin('/a/b', '/a/b')).toBe(true)
  expect(isWithin('/a/b/c', '/a/b')).toBe(true)
  expect(isWithin('/a/b-c', '/a/b')).toBe(false)
  expect(isWithin('/a', '/a/b')).toBe(false)
  expect(isReservedPath('/spire')).toBe(true)
  expect(isReservedPath('/spire/agent/x')).toBe(true)
  expect(isReservedPath('/spire-k8s-registrar/x')).toBe(false)
})
