import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeName, formatName } from '../x509/name.ts'
import { AttributeReader, attributePrefix } from './attributes.ts'
import { readCsv, readSubject } from './subject.ts'

const variables = {
  values: { POD_NAME: 'web-0', POD_NAMESPACE: 'sandbox', ODD: 'a,O=evil+CN=x', NONE: '' },
  refused: {},
}

function read(attributes: Readonly<Record<string, string>>) {
  const reader = new AttributeReader(
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  )
  const subject = readSubject(reader, variables)
  const told = (notes: readonly { attribute: string; message: string }[]): string[] =>
    notes.map(({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`)
  return { subject, name: formatName(subject), problems: told(reader.problems), warnings: told(reader.warnings) }
}

test('without attributes the subject is empty', () => {
  expect(read({})).toEqual({ subject: [], name: '', problems: [], warnings: [] })
})

test('each part has its place, several values of a type share one level, and quotes keep commas', () => {
  const { subject, problems } = read({
    'common-name': '$POD_NAME',
    organizations: '"Acme, Inc.",Other',
    organizationalunits: '${POD_NAMESPACE},team',
    countries: 'DE',
    provinces: 'Bavaria',
    localities: 'Munich',
    streetaddresses: '"Main St. 1, back"',
    postalcodes: '80331',
    serialnumber: '$POD_NAME',
  })
  expect(problems).toEqual([])
  expect(subject.map((level) => level.map(({ type, value }) => `${type}=${value}`))).toEqual([
    ['C=DE'],
    ['ST=Bavaria'],
    ['L=Munich'],
    ['STREET=Main St. 1, back'],
    ['postalCode=80331'],
    ['O=Acme, Inc.', 'O=Other'],
    ['OU=sandbox', 'OU=team'],
    ['CN=web-0'],
    // No variable is replaced in a serial number, as with the Go driver.
    ['serialNumber=$POD_NAME'],
  ])
})

test('a list is split before its variables are replaced, so no value can add one', () => {
  expect(read({ organizations: '$ODD,b' }).subject).toEqual([
    [
      { type: 'O', value: 'a,O=evil+CN=x' },
      { type: 'O', value: 'b' },
    ],
  ])
})

test('empty values are dropped, also those that variables leave empty', () => {
  expect(read({ organizations: 'a,,$NONE,""', 'common-name': '$NONE' })).toMatchObject({ name: 'O=a', problems: [] })
})

test('a list that is no CSV is refused with its place', () => {
  expect(read({ organizations: 'a, "b"' }).problems).toEqual([
    String.raw`organizations: invalid value "a, \"b\"": must be values with commas between them, with quotes around those that have commas: parse error on line 1, column 4: bare " in non-quoted-field`,
  ])
})

test('a literal subject is read from its most specific end', () => {
  expect(read({ 'literal-subject': String.raw`CN=${'${POD_NAME}'},OU=a+OU=b,O=Acme\, Inc.` })).toMatchObject({
    name: String.raw`CN=web-0,OU=a+OU=b,O=Acme\, Inc.`,
    problems: [],
    warnings: [],
  })
})

test('a value can neither add an attribute to a literal subject nor reshape it', () => {
  expect(read({ 'literal-subject': 'CN=$ODD,O=Acme' }).subject).toEqual([
    [{ type: 'O', value: 'Acme' }],
    [{ type: 'CN', value: 'a,O=evil+CN=x' }],
  ])
})

test('a literal subject stands for the other attributes, and each that is ignored is told', () => {
  const { name, warnings } = read({ 'literal-subject': 'CN=a', 'common-name': 'b', countries: 'DE' })
  expect(name).toBe('CN=a')
  expect(warnings).toEqual([
    'literal-subject: is the whole subject, so these are ignored: csi.cert-manager.io/common-name, csi.cert-manager.io/countries',
  ])
})

test.each([
  ['web', /^literal-subject: is no distinguished name such as CN=web,O=Example: expected a type/],
  ['FOO=a', /"FOO" is no attribute type/],
  ['CN=', /CN is empty/],
  ['CN=$NONE', /^literal-subject: cannot be written: CN is empty$/],
  ['CN=$POD', /undefined variable "POD"/],
  ['DC=é', /^literal-subject: cannot be written: DC "é" has characters outside ASCII$/],
])('the literal subject %s is refused', (text, problem) => {
  const { problems } = read({ 'literal-subject': text })
  expect(problems).toEqual([expect.stringMatching(problem)])
})

test('every undefined variable of every part is told', () => {
  expect(read({ 'common-name': '$A', organizations: '$B', countries: '$C' }).problems).toHaveLength(3)
})

test('any attributes give a subject that can be written, or problems', () => {
  const names = fc.constantFrom('literal-subject', 'common-name', 'organizations', 'countries', 'serialnumber')
  const pieces = fc.constantFrom('CN=', 'O', '=', ',', '+', '\\', '"', 'a', '$POD_NAME', '$ODD', '${', ' ', '#', 'é')
  const values = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces).map((found) => found.join('')),
  )
  fc.assert(
    fc.property(fc.dictionary(names, values), (attributes) => {
      const { subject, problems } = read(attributes)
      for (const problem of problems) expect(problem).toMatch(/^[a-z-]+: ./)
      expect(() => problems.length > 0 || encodeName(subject)).not.toThrow()
    }),
    { numRuns: 1000 },
  )
})

test('a CSV list without its attribute is empty', () => {
  expect(readCsv(new AttributeReader({}), 'organizations')).toEqual([])
})
