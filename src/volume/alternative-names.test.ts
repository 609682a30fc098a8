import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeGeneralNames } from '../x509/general-names.ts'
import { readNames } from './alternative-names.ts'
import { AttributeReader, attributePrefix } from './attributes.ts'

const variables = {
  values: { POD_NAME: 'web-0', NODE_NAME: 'node-1', SERVICE_ACCOUNT_NAME: 'a/b@c, d' },
  refused: {},
}

function read(attributes: Readonly<Record<string, string>>) {
  const reader = new AttributeReader(
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  )
  const names = readNames(reader, variables, false)
  return { names, problems: reader.problems.map(({ attribute, message }) => `${attribute}: ${message}`) }
}

test('e-mail addresses are read with their variables, under either name', () => {
  const email = ['a@example.com', 'web-0@example.com']
  for (const name of ['email-sans', 'email-addresses']) {
    expect(read({ [name]: 'a@example.com, $POD_NAME@example.com,' })).toMatchObject({ names: { email }, problems: [] })
  }
})

test.each([
  'example.com',
  '@example.com',
  'a@',
  'a@b@c',
  'a b@c',
  'Web <a@b>',
  'a..b@c',
  '.a@b',
  'a@b..c',
  'a@b.',
  'é@b',
  '"a"@b',
])('the e-mail address %j is refused', (address) => {
  const { problems } = read({ 'email-sans': address })
  expect(problems).toEqual([expect.stringContaining(`email-sans: invalid value ${JSON.stringify(address)}: must be `)])
})

test('other names are an object identifier and a text, which may have commas in quotes', () => {
  const { names, problems } = read({
    'other-names': '1.3.6.1.4.1.311.20.2.3=web@example.com,"1.2.3.4=a, b=c"',
  })
  expect(problems).toEqual([])
  expect(names.otherNames).toEqual([
    { oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'web@example.com' },
    { oid: '1.2.3.4', utf8Value: 'a, b=c' },
  ])
})

test.each([
  ['web@example.com', 'there is no "="'],
  ['upn=web', '"upn" is not the object identifier of an other name'],
  ['=web', '"" is not the object identifier of an other name'],
  ['1.2.3=', 'the other name 1.2.3 is empty'],
])('the other name %j is refused: %s', (item, problem) => {
  const { names, problems } = read({ 'other-names': item })
  expect(problems).toEqual([expect.stringMatching(/other-names: invalid value/)])
  expect(problems[0]).toContain(problem)
  expect(names.otherNames).toBeUndefined()
})

test('the name of the node may stand in names', () => {
  const { names } = read({
    'dns-names': '$POD_NAME.$NODE_NAME',
    'uri-sans': 'spiffe://a/$NODE_NAME',
    'email-sans': 'a@$NODE_NAME',
  })
  expect(names).toMatchObject({
    dns: ['web-0.node-1'],
    uri: ['spiffe://a/node-1'],
    email: ['a@node-1'],
  })
})

test('a value that could reshape a name becomes a label of it, and is percent-encoded in a URI', () => {
  const { names, problems } = read({
    'dns-names': '$SERVICE_ACCOUNT_NAME.example,other',
    'uri-sans': 'spiffe://a/$SERVICE_ACCOUNT_NAME/x',
    'email-sans': '$SERVICE_ACCOUNT_NAME@example.com',
  })
  expect(problems).toEqual([])
  expect(names).toMatchObject({
    dns: ['a-b-c-d.example', 'other'],
    uri: ['spiffe://a/a%2Fb%40c%2C%20d/x'],
    email: ['a-b-c-d@example.com'],
  })
})

test('wildcards are kept', () => {
  expect(read({ 'dns-names': '*.example.com,*' }).names.dns).toEqual(['*.example.com', '*'])
})

test('any attributes give names that can be written, or problems', () => {
  const kinds = fc.constantFrom('dns-names', 'ip-sans', 'uri-sans', 'email-sans', 'other-names')
  const pieces = fc.constantFrom('a', '@', '.', '1.2.3', '=', ',', '"', '::1', 'urn:', '$POD_NAME', '$', '%', ' ', 'é')
  const values = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces).map((found) => found.join('')),
  )
  fc.assert(
    fc.property(fc.dictionary(kinds, values), (attributes) => {
      const { names, problems } = read(attributes)
      for (const problem of problems) expect(problem).toMatch(/^csi\.cert-manager\.io\/[a-z-]+: ./)
      expect(() => problems.length > 0 || encodeGeneralNames(names)).not.toThrow()
    }),
    { numRuns: 1000 },
  )
})
