import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { AttributeReader, attributePrefix } from './attributes.ts'
import { renewalTime } from './renewal.ts'
import { planRenewal, type RenewalRules } from './renewal-plan.ts'
import { readRenewalWindows } from './renewal-windows.ts'

const hour = 3600_000
const day = 24 * hour
/** A Sunday. */
const notBefore = Date.UTC(2026, 0, 4)

function rules(windows: string, before?: RenewalRules['before']): RenewalRules {
  const reader = new AttributeReader({ [`${attributePrefix}renewal-windows`]: windows })
  return { before, windows: readRenewalWindows(reader) }
}

test('without windows it is the renewal time', () => {
  const certificate = { notBefore, notAfter: notBefore + 30 * day }
  expect(planRenewal(certificate, rules(''), 0.5, notBefore)).toEqual({
    at: renewalTime(certificate, undefined, 0.5),
    warning: undefined,
  })
})

test('a certificate that was dated back far is not renewed again at once, with or without windows', () => {
  const certificate = { notBefore: notBefore - 300 * day, notAfter: notBefore + 10 * day }
  expect(planRenewal(certificate, rules(''), 0.5, notBefore).at).toBe(notBefore + day)
  // Every day at 02:00: the next one is too soon.
  expect(planRenewal(certificate, rules('0 2 * * * for 1h'), 0, notBefore).at).toBe(notBefore + day + 2 * hour)
})

test('a month’s certificate is renewed in the weekend before two thirds of its life', () => {
  const certificate = { notBefore, notAfter: notBefore + 30 * day }
  const plan = planRenewal(certificate, rules('0 2 * * 6 for 4h'), 0.5, notBefore)
  expect(plan).toEqual({ at: Date.UTC(2026, 0, 17, 4), warning: undefined })
})

test('a window that comes too late for a certificate is not waited for, and that is told', () => {
  const certificate = { notBefore, notAfter: notBefore + day }
  const plan = planRenewal(certificate, rules('0 2 * * 6 for 4h'), 0, notBefore)
  expect(plan).toEqual({
    at: notBefore + 16 * hour,
    warning:
      'no renewal window opens from 2026-01-04T02:24:00.000Z until 2026-01-04T23:12:00.000Z, so the certificate is renewed ' +
      'outside of them, at 2026-01-04T16:00:00.000Z; windows that open once in three quarters of its lifetime always fit',
  })
})

test('a certificate that has ended is renewed at once, in no window', () => {
  const certificate = { notBefore, notAfter: notBefore + day }
  const { at, warning } = planRenewal(certificate, rules('0 2 * * 6 for 4h'), 0, notBefore + 2 * day)
  expect(at).toBeLessThan(notBefore + 2 * day)
  expect(warning).toBeUndefined()
})

test('it leaves a fresh certificate a tenth of its life, and is before its end, whatever the windows', () => {
  const windows = fc.constantFrom(
    '',
    '* * * * * for 1m',
    '0 2 * * * for 4h in Europe/Berlin',
    '0 2 * * 6 for 4h; 0 0 1 * * for 2h',
    '0 0 1 1 * for 1h',
  )
  const before = fc.oneof(
    fc.constant(undefined),
    fc.integer({ min: 1, max: 99 }).map((percent) => ({ is: 'share', percent }) as const),
    fc.integer({ min: 1, max: 900 * day }).map((milliseconds) => ({ is: 'time', milliseconds }) as const),
  )
  const spreads = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(windows, before, fc.integer({ min: 60_000, max: 400 * day }), spreads, (text, lead, life, spread) => {
      const certificate = { notBefore, notAfter: notBefore + life }
      const { at } = planRenewal(certificate, rules(text, lead), spread, notBefore)
      expect(at).toBeGreaterThanOrEqual(notBefore + life / 10)
      expect(at).toBeLessThan(certificate.notAfter)
      // The same for a volume's whole life.
      expect(planRenewal(certificate, rules(text, lead), spread, notBefore).at).toBe(at)
    }),
  )
})

test('windows that open once in three quarters of the lifetime always fit', () => {
  const starts = fc.integer({ min: 0, max: 2 * day })
  const leads = fc.oneof(
    fc.constant(undefined),
    fc.integer({ min: 1, max: 99 }).map((percent) => ({ is: 'share', percent }) as const),
  )
  fc.assert(
    fc.property(starts, leads, (shift, lead) => {
      // Every day, for a lifetime of four thirds of one.
      const certificate = { notBefore: notBefore + shift, notAfter: notBefore + shift + 32 * hour }
      const { warning } = planRenewal(certificate, rules('0 2 * * * for 1m', lead), 0.5, certificate.notBefore)
      expect(warning).toBeUndefined()
    }),
  )
})
