import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodePem, encodePem, PemError } from './pem.ts'
import { throwingOnly } from './throwing-only.ts'

const label = fc.stringMatching(/^[A-Z0-9]{1,8}( [A-Z0-9]{1,8}){0,2}$/)
const der = fc.uint8Array({ minLength: 1, maxLength: 300 })
const block = encodePem('TEST', Uint8Array.of(1, 2, 3))

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(label, der)), (blocks) => {
      const text = blocks.map(([label, der]) => encodePem(label, der)).join('')
      expect(decodePem(text)).toEqual(blocks.map(([label, der]) => ({ label, der: new Uint8Array(der) })))
    }),
  )
})

test('writes lines of 64 characters', () => {
  expect(encodePem('TEST', new Uint8Array(49))).toBe(
    `-----BEGIN TEST-----\n${'A'.repeat(64)}\nAA==\n-----END TEST-----\n`,
  )
})

test('text between blocks, line ends of Windows and spaces around lines are skipped', () => {
  const text = `# root\n${block}\n=====\n  ${block.replaceAll('\n', ' \r\n')}the end`
  expect(decodePem(text)).toEqual(Array.from({ length: 2 }, () => ({ label: 'TEST', der: Uint8Array.of(1, 2, 3) })))
})

test('a text without blocks has none', () => {
  expect(decodePem('')).toEqual([])
  expect(decodePem('not a certificate')).toEqual([])
})

describe('refuses', () => {
  test.each([
    ['a block without its END', '-----BEGIN TEST-----\nAQID\n', 'the block of line 1 has no END'],
    ['an END without a block', 'AQID\n-----END TEST-----\n', 'line 2: END without its BEGIN'],
    ['an END of another label', '-----BEGIN TEST-----\nAQID\n-----END OTHER-----\n', 'line 3: END without its BEGIN'],
    ['a BEGIN inside a block', `-----BEGIN TEST-----\nAQID\n${block}`, 'line 3: BEGIN inside the block of line 1'],
    ['a boundary with a hyphen too few', block.replace('TEST-----', 'TEST----'), 'line 1: broken boundary'],
    ['headers', block.replace('AQID', 'Proc-Type: 4,ENCRYPTED\n\nAQID'), 'the block of line 1 is not base64'],
    ['letters outside base64', block.replace('AQID', 'AQI_'), 'the block of line 1 is not base64'],
    ['missing padding', block.replace('AQID', 'AQI'), 'the block of line 1 is not base64'],
    ['padding in the middle', block.replace('AQID', 'AQ==AQID'), 'the block of line 1 is not base64'],
    ['stray bits in the last character', block.replace('AQID', 'AR=='), 'the block of line 1 is not base64'],
    ['an empty block', block.replace('AQID\n', ''), 'the block of line 1 is empty'],
  ])('%s', (_name, text, message) => {
    expect(() => decodePem(text)).toThrow(new PemError(message))
  })
})

test('any text is read or refused with a PemError', () => {
  const line = fc.oneof(
    fc.constantFrom('-----BEGIN TEST-----', '-----END TEST-----', '-----BEGIN', 'AQID', 'AQ==', ''),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      throwingOnly([PemError], () => {
        for (const { label, der } of decodePem(lines.join('\n')))
          expect(decodePem(encodePem(label, der))).toEqual([{ label, der }])
      })
    }),
  )
})
