import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { AttributeReader, attributePrefix } from './attributes.ts'
import { fileNameProblem, readFileNames, type WantedFiles } from './file-names.ts'

test.each(['tls.crt', '.hidden', 'a..b', 'a.', 'bar/foo.crt', 'a/b/c/d', 'with space.crt', 'ключ.pem', '-rf'])(
  '%j is a file name',
  (path) => {
    expect(fileNameProblem(path)).toBeUndefined()
  },
)

test.each([
  ['/tls.crt', 'must be a relative path'],
  ['/', 'must be a relative path'],
  ['', 'must not have an empty part'],
  ['a//b', 'must not have an empty part'],
  ['a/', 'must not have an empty part'],
  ['.', 'must not have a part "."'],
  ['./tls.crt', 'must not have a part "."'],
  ['a/./b', 'must not have a part "."'],
  ['..', 'must not have a part that starts with ".."'],
  ['../tls.crt', 'must not have a part that starts with ".."'],
  ['a/../b', 'must not have a part that starts with ".."'],
  ['..data', 'must not have a part that starts with ".."'],
  ['a/..hidden', 'must not have a part that starts with ".."'],
  [' tls.crt', 'must not have a part with leading or trailing white space'],
  ['tls.crt\u00a0', 'must not have a part with leading or trailing white space'],
  ['a /b', 'must not have a part with leading or trailing white space'],
  ['a\nb', 'must not contain control characters'],
  ['a\u0000b', 'must not contain control characters'],
  ['a\u007f', 'must not contain control characters'],
])('%j is no file name: it %s', (path, problem) => {
  expect(fileNameProblem(path)).toBe(problem)
})

test('a part has at most 255 bytes, a path 3072', () => {
  expect(fileNameProblem('x'.repeat(255))).toBeUndefined()
  expect(fileNameProblem('é'.repeat(127))).toBeUndefined()
  expect(fileNameProblem('x'.repeat(256))).toBe('must not have a part longer than 255 bytes')
  expect(fileNameProblem(`a/${'é'.repeat(128)}`)).toBe('must not have a part longer than 255 bytes')
  expect(fileNameProblem('ab/'.repeat(1023) + 'abc')).toBeUndefined()
  expect(fileNameProblem('ab/'.repeat(1023) + 'abcd')).toBe('must not be longer than 3072 bytes')
})

test('a path is accepted only if it stays below the root and its parts are names of their own', () => {
  const pieces = fc.constantFrom('a', 'b.crt', '.', '..', '/', '//', ' ', '..data', '', '\t', 'é')
  const paths = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 8 }).map((found) => found.join('')),
  )
  fc.assert(
    fc.property(paths, (path) => {
      if (fileNameProblem(path) !== undefined) return
      const resolved = new URL(path.split('/').map(encodeURIComponent).join('/'), 'file:///volume/').pathname
      expect(decodeURIComponent(resolved)).toBe(`/volume/${path}`)
      expect(path).not.toMatch(/(?:^|\/)\.\./)
    }),
    { numRuns: 1000 },
  )
})

function read(attributes: Readonly<Record<string, string>>, wanted?: WantedFiles) {
  const reader = new AttributeReader(
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  )
  return { files: readFileNames(reader, wanted), problems: reader.problems }
}

test('without attributes the files have their documented names', () => {
  expect(read({})).toEqual({
    files: { certificate: 'tls.crt', privateKey: 'tls.key', ca: 'ca.crt' },
    problems: [],
  })
})

test('files of one folder, and of folders that begin alike, do not clash', () => {
  const names = { 'certificate-file': 'bar/foo.crt', 'privatekey-file': 'bar/foo.key', 'ca-file': 'bar/foo' }
  expect(read(names).problems).toEqual([])
})

test.each([
  [{ 'certificate-file': 'a', 'privatekey-file': 'a' }, 'privatekey-file', '"a": clashes with certificate-file'],
  [{ 'privatekey-file': 'tls.crt' }, 'privatekey-file', '"tls.crt": clashes with certificate-file'],
  [{ 'ca-file': 'tls.key/ca.crt' }, 'ca-file', '"tls.key/ca.crt": clashes with privatekey-file'],
  [{ 'certificate-file': 'a/b', 'ca-file': 'a' }, 'ca-file', '"a": clashes with certificate-file'],
])('%j is refused: a name is taken', (attributes, attribute, message) => {
  expect(read(attributes).problems).toEqual([
    { attribute: attributePrefix + attribute, message: `invalid value ${message}` },
  ])
})

test('each file that is wrong is told', () => {
  const { problems } = read({ 'certificate-file': '/a', 'privatekey-file': '../b', 'ca-file': 'c/' })
  expect(problems.map(({ attribute }) => attribute.slice(attributePrefix.length))).toEqual([
    'certificate-file',
    'privatekey-file',
    'ca-file',
  ])
})

const both: WantedFiles = { pkcs12: true, jks: true }

test('keystores and further formats have their documented names', () => {
  const attributes = { 'additional-output-formats': 'CombinedPEM, der', 'credential-bundle-file': 'bundle.pem' }
  expect(read(attributes, both)).toEqual({
    files: {
      certificate: 'tls.crt',
      privateKey: 'tls.key',
      ca: 'ca.crt',
      pkcs12: { keystore: 'keystore.p12', truststore: 'truststore.p12' },
      jks: { keystore: 'keystore.jks', truststore: 'truststore.jks' },
      combinedPem: 'tls-combined.pem',
      keyDer: 'key.der',
      credentialBundle: 'bundle.pem',
    },
    problems: [],
  })
})

test('keystores take other names, also under the other spelling', () => {
  const attributes = {
    'keystore-pkcs12-filename': 'a/b.p12',
    'pkcs12-truststore-filename': 'a/t.p12',
    'jks-filename': 'j',
    'jks-truststore-filename': 'jt',
  }
  expect(read(attributes, both).files).toMatchObject({
    pkcs12: { keystore: 'a/b.p12', truststore: 'a/t.p12' },
    jks: { keystore: 'j', truststore: 'jt' },
  })
})

test('the names of files that nobody asks for clash with none', () => {
  expect(read({ 'certificate-file': 'keystore.p12', 'pkcs12-filename': '/x' }).problems).toEqual([])
})

test.each([
  [{ 'pkcs12-filename': 'tls.crt' }, 'pkcs12-filename', '"tls.crt": clashes with certificate-file'],
  [{ 'certificate-file': 'keystore.p12' }, 'pkcs12-filename', '"keystore.p12": clashes with certificate-file'],
  [
    { 'pkcs12-truststore-filename': 'keystore.p12' },
    'pkcs12-truststore-filename',
    '"keystore.p12": clashes with pkcs12-filename',
  ],
  [
    { 'jks-filename': 'truststore.p12/a' },
    'jks-filename',
    '"truststore.p12/a": clashes with pkcs12-truststore-filename',
  ],
  [
    { 'jks-truststore-filename': '../a' },
    'jks-truststore-filename',
    '"../a": must not have a part that starts with ".."',
  ],
  [
    { 'ca-file': 'key.der', 'additional-output-formats': 'DER' },
    'additional-output-formats',
    '"key.der": clashes with ca-file',
  ],
  [{ 'credential-bundle-file': 'tls.key' }, 'credential-bundle-file', '"tls.key": clashes with privatekey-file'],
  [{ 'credential-bundle-file': 'a/' }, 'credential-bundle-file', '"a/": must not have an empty part'],
])('%j is refused where keystores are wanted', (attributes, attribute, message) => {
  expect(read(attributes, both).problems).toEqual([
    { attribute: attributePrefix + attribute, message: `invalid value ${message}` },
  ])
})

test('an output format that there is not is refused with those there are', () => {
  expect(read({ 'additional-output-formats': 'DER,PFX' }).problems).toEqual([
    {
      attribute: `${attributePrefix}additional-output-formats`,
      message: 'unsupported value "PFX": supported values are "CombinedPEM", "DER"',
    },
  ])
})
