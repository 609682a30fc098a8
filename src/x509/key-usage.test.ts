import { expect, test } from 'vitest'
import { canonicalUsage, isKeyUsageBit, keyUsages, splitUsages, usageOfBit, usageOfPurpose } from './key-usage.ts'

test('every usage is a bit or a purpose, and is known again by it', () => {
  for (const usage of keyUsages) {
    const { bits, purposes } = splitUsages([usage])
    expect(bits.length + purposes.length).toBe(1)
    expect(isKeyUsageBit(usage)).toBe(bits.length === 1)
    const again = [...bits.map(usageOfBit), ...purposes.map(usageOfPurpose)]
    expect(again).toEqual([canonicalUsage(usage)])
  }
})

test('two usages have a second name', () => {
  expect(keyUsages.filter((usage) => canonicalUsage(usage) !== usage)).toEqual(['signing', 's/mime'])
  expect(canonicalUsage('signing')).toBe('digital signature')
  expect(canonicalUsage('s/mime')).toBe('email protection')
})

test('bits ascend and nothing is repeated', () => {
  expect(
    splitUsages(['client auth', 'decipher only', 'signing', 'digital signature', 'client auth', 'cert sign']),
  ).toEqual({
    bits: [0, 5, 8],
    purposes: ['1.3.6.1.5.5.7.3.2'],
  })
})

test('what has no name is undefined', () => {
  expect(usageOfBit(9)).toBeUndefined()
  expect(usageOfPurpose('1.2.3')).toBeUndefined()
})
