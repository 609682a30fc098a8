import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { nameConstraintExtensions } from '../x509/name-constraints.ts'
import { signatureAlgorithmNames, signatureAlgorithmsOf } from '../x509/signature.ts'
import { AttributeReader, attributePrefix } from './attributes.ts'
import { readRequestOptions, readUsages } from './request-options.ts'

function readerOf(attributes: Readonly<Record<string, string>>): AttributeReader {
  return new AttributeReader(
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  )
}

function read(
  attributes: Readonly<Record<string, string>>,
  algorithm: 'RSA' | 'ECDSA' | 'Ed25519' = 'RSA',
  isCA = true,
) {
  const reader = readerOf(attributes)
  const options = readRequestOptions(reader, algorithm, isCA)
  const problems = reader.problems.map(
    ({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`,
  )
  return { options, problems }
}

test.each(
  (['RSA', 'ECDSA', 'Ed25519'] as const).flatMap((key) => signatureAlgorithmNames.map((name) => [name, key] as const)),
)('%s is for keys that can sign by it: %s', (name, key) => {
  const { options, problems } = read({ 'signature-algorithm': name.toLowerCase() }, key)
  const fitting = signatureAlgorithmsOf(key)
  expect(options.signatureAlgorithm).toBe(name)
  expect(problems).toEqual(
    fitting.includes(name)
      ? []
      : [`signature-algorithm: invalid value "${name}": a key of ${key} signs by ${fitting.join(', ')}`],
  )
})

test('an algorithm that there is not is refused with those there are', () => {
  expect(read({ 'signature-algorithm': 'SHA1WithRSA' }).problems).toEqual([
    expect.stringMatching(
      /^signature-algorithm: unsupported value "SHA1WithRSA": supported values are "SHA256WithRSA"/,
    ),
  ])
})

test('name constraints are read by side and kind', () => {
  const { options, problems } = read({
    'name-constraints-critical': 'true',
    'name-constraints-permitted-dns': 'example.com, .example.org,',
    'name-constraints-permitted-ip': '10.0.0.0/8,2001:db8::/32',
    'name-constraints-excluded-email': 'a@example.com,example.com',
    'name-constraints-excluded-uri': '.example.com',
  })
  expect(problems).toEqual([])
  expect(options.nameConstraints).toEqual({
    critical: true,
    permitted: { dnsDomains: ['example.com', '.example.org'], ipRanges: ['10.0.0.0/8', '2001:db8::/32'] },
    excluded: { emailAddresses: ['a@example.com', 'example.com'], uriDomains: ['.example.com'] },
  })
})

test('name constraints are for a CA only', () => {
  expect(read({ 'name-constraints-permitted-dns': 'a' }, 'RSA', false).problems).toEqual([
    'is-ca: must be "true" where there are name constraints: only a CA has them',
  ])
})

test('critical alone constrains nothing', () => {
  expect(read({ 'name-constraints-critical': 'true' }).problems).toEqual([
    'name-constraints-critical: nothing is constrained: name what is permitted or excluded',
  ])
})

test.each([
  ['permitted-ip', '10.0.0.1'],
  ['excluded-ip', '10.0.0.0/33'],
  ['permitted-dns', 'bücher.example'],
  ['excluded-email', 'é@example.com'],
  ['excluded-uri', 'é'],
])('the constraint %s %s is refused', (kind, value) => {
  expect(read({ [`name-constraints-${kind}`]: `${value},` }).problems).toEqual([
    expect.stringContaining(`name-constraints-${kind}: invalid value: `),
  ])
})

test('any constraints can be written, or are problems', () => {
  const names = fc.constantFrom(
    ...(['permitted', 'excluded'] as const).flatMap((side) =>
      ['dns', 'ip', 'email', 'uri'].map((kind) => `name-constraints-${side}-${kind}`),
    ),
  )
  const values = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a,b', '10.0.0.0/8', '::/0', '/8', 'a@b'))
  fc.assert(
    fc.property(fc.dictionary(names, values), (attributes) => {
      const { options, problems } = read(attributes)
      if (problems.length > 0 || options.nameConstraints === undefined) return
      expect(nameConstraintExtensions(options.nameConstraints)).toHaveLength(1)
    }),
  )
})

test('a usage under two names is asked for twice, unless the request names it itself', () => {
  const attributes = { 'key-usages': 'signing,digital signature,email protection,s/mime,signing' }
  expect(readUsages(readerOf(attributes), false)).toEqual([
    'signing',
    'digital signature',
    'email protection',
    's/mime',
  ])
  expect(readUsages(readerOf(attributes), true)).toEqual(['signing', 'email protection'])
})
