import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { DerError } from './der-reader.ts'
import { boolean, encode, octetString, oid, sequence } from './der-writer.ts'
import {
  authorityKeyIdentifier,
  basicConstraints,
  decodeExtensions,
  encodeExtensions,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectKeyIdentifier,
  subjectKeyIdentifier,
  usageExtensions,
} from './extensions.ts'
import { canonicalUsage, isKeyUsageBit, keyUsages } from './key-usage.ts'
import { throwingOnly } from './throwing-only.ts'

const extension = fc.record({
  id: fc.nat({ max: 1000 }).map((number) => `2.5.29.${number}`),
  critical: fc.boolean(),
  value: fc.uint8Array(),
})

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.uniqueArray(extension, { selector: ({ id }) => id }), (extensions) => {
      expect(decodeExtensions(encode(encodeExtensions(extensions)))).toEqual(extensions)
    }),
  )
})

test('usages of any choice are read back under their first names', () => {
  fc.assert(
    fc.property(fc.subarray([...keyUsages]), (usages) => {
      const [bits, purposes] = [true, false].map((isBit) => usages.filter((usage) => isKeyUsageBit(usage) === isBit))
      const extensions = usageExtensions(usages)
      expect(extensions.length).toBe(Number(bits?.length !== 0) + Number(purposes?.length !== 0))
      const read = extensions.flatMap(({ id, value }) =>
        id === '2.5.29.15' ? readKeyUsage(value) : readExtendedKeyUsage(value),
      )
      expect(read.flatMap(({ unknown }) => unknown)).toEqual([])
      expect(new Set(read.flatMap(({ usages }) => usages))).toEqual(new Set(usages.map(canonicalUsage)))
    }),
  )
})

test('a key usage ends with its last bit', () => {
  expect(usageExtensions(['digital signature', 'key encipherment'])[0]?.value.toHex()).toBe('030205a0')
  expect(usageExtensions(['decipher only'])[0]?.value.toHex()).toBe('0303070080')
})

test('key usage is critical, extended key usage is not', () => {
  expect(usageExtensions(['digital signature', 'server auth']).map(({ critical }) => critical)).toEqual([true, false])
})

test('bits and purposes without a name are listed', () => {
  expect(readKeyUsage(Uint8Array.fromHex('0303068040'))).toEqual({
    usages: ['digital signature'],
    unknown: ['key usage bit 9'],
  })
  expect(readExtendedKeyUsage(encode(sequence(oid('1.2.3'))))).toEqual({ usages: [], unknown: ['key purpose 1.2.3'] })
})

test('basic constraints are read as they were written', () => {
  for (const [isCA, pathLength, hex] of [
    [false, undefined, '3000'],
    [true, undefined, '30030101ff'],
    [true, 0, '30060101ff020100'],
    [true, 300, '30070101ff0202012c'],
  ] as const) {
    const { value, critical } = basicConstraints(isCA, pathLength)
    expect(value.toHex()).toBe(hex)
    expect(critical).toBe(true)
    expect(readBasicConstraints(value)).toEqual({ isCA, pathLength })
  }
})

test('key identifiers are read as they were written', () => {
  const id = Uint8Array.of(1, 2, 3)
  expect(readSubjectKeyIdentifier(subjectKeyIdentifier(id).value)).toEqual(id)
  expect(authorityKeyIdentifier(id).value.toHex()).toBe('30058003010203')
})

test('an explicit FALSE is read, as old CAs write it', () => {
  const old = encode(
    sequence(sequence(oid('2.5.29.19'), boolean(false), octetString(Uint8Array.fromHex('3003010100')))),
  )
  expect(decodeExtensions(old)).toMatchObject([{ id: '2.5.29.19', critical: false }])
  expect(readBasicConstraints(Uint8Array.fromHex('3003010100'))).toEqual({ isCA: false, pathLength: undefined })
})

test('refuses an extension that stands twice, and what is no extension', () => {
  const twice = [basicConstraints(true), basicConstraints(false)]
  expect(() => decodeExtensions(encode(encodeExtensions(twice)))).toThrow(
    new DerError('extension 2.5.29.19 stands twice'),
  )
  expect(() => decodeExtensions(encode(sequence(sequence(oid('1.2.3')))))).toThrow(DerError)
  expect(() =>
    decodeExtensions(encode(sequence(sequence(oid('1.2.3'), octetString(new Uint8Array(1)), boolean(true))))),
  ).toThrow(DerError)
  expect(() => readBasicConstraints(Uint8Array.fromHex('30090101ff020100020100'))).toThrow(DerError)
})

test('any bytes are read or refused with a DerError', () => {
  const readers = [decodeExtensions, readKeyUsage, readExtendedKeyUsage, readBasicConstraints, readSubjectKeyIdentifier]
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom(...readers), (der, read) => {
      expect(() => throwingOnly([DerError], () => read(der))).not.toThrow()
    }),
  )
})
