import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { AttributeReader, attributePrefix } from './attributes.ts'
import { readRenewalLead } from './renewal-lead.ts'

function read(attributes: Readonly<Record<string, string>>) {
  const reader = new AttributeReader(
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  )
  const lead = readRenewalLead(reader)
  return {
    lead,
    problems: reader.problems.map(({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`),
  }
}

test.each([
  [{}, undefined],
  [{ 'renew-before': '' }, undefined],
  [{ 'renew-before': '1h30m' }, { is: 'time', milliseconds: 90 * 60_000 }],
  [{ 'renew-before': '25%' }, { is: 'share', percent: 25 }],
  [{ 'renew-before-percentage': '25' }, { is: 'share', percent: 25 }],
  [{ 'renew-before-percentage': '1' }, { is: 'share', percent: 1 }],
  [{ 'renew-before-percentage': '99' }, { is: 'share', percent: 99 }],
])('%j is %j', (attributes, lead) => {
  expect(read(attributes)).toEqual({ lead, problems: [] })
})

test.each(['0', '100', '-1', '25%', '2.5', 'third', ' 25'])('the percentage %j is refused', (text) => {
  expect(read({ 'renew-before-percentage': text }).problems).toEqual([
    `renew-before-percentage: invalid value ${JSON.stringify(text)}: must be a whole number of percent from 1 to 99, such as 25`,
  ])
})

test.each(['0%', '100%', '%', '-5%', '1.5%', '25%%', '1h%'])('renewing before %j is refused', (text) => {
  expect(read({ 'renew-before': text }).problems).toEqual([
    `renew-before: invalid value ${JSON.stringify(text)}: must be a whole number of percent from 1 to 99, such as 25%`,
  ])
})

test('a lead and a percentage together are refused, whatever they say', () => {
  for (const before of ['1h', '25%']) {
    expect(read({ 'renew-before': before, 'renew-before-percentage': '25' }).problems).toEqual([
      'renew-before-percentage: both are given, and one is enough: leave out csi.cert-manager.io/renew-before or this one',
    ])
  }
})

test('any text is a lead within a certificate’s life or a problem', () => {
  const text = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.integer().map((number) => `${number}%`),
  )
  fc.assert(
    fc.property(fc.constantFrom('renew-before', 'renew-before-percentage'), text, (name, value) => {
      fc.pre(value !== '')
      const { lead, problems } = read({ [name]: value })
      expect(problems).toHaveLength(lead === undefined ? 1 : 0)
      const share = lead?.is === 'share' ? lead.percent : 1
      expect(share).toBeGreaterThanOrEqual(1)
      expect(share).toBeLessThanOrEqual(99)
    }),
  )
})
