import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type RenewalLead, renewalSpread, renewalTime } from './renewal.ts'

const hour = 3600_000
const notBefore = Date.UTC(2026, 0, 1)

function timeLead(milliseconds: number | undefined): RenewalLead | undefined {
  return milliseconds === undefined ? undefined : { is: 'time', milliseconds }
}

const certificate = { notBefore, notAfter: notBefore + 30 * hour }

test.each([
  [undefined, 0, 20],
  [undefined, 0.5, 19.5],
  [undefined, 1, 19],
  [3 * hour, 0, 27],
  [3 * hour, 1, 26.7],
  // Not shorter than the lifetime: a third of it, as if there were none.
  [30 * hour, 0, 20],
  [300 * hour, 0, 20],
  // Most of the lifetime: the spread is a share of the rest.
  [29 * hour, 0, 1],
  [29 * hour, 1, 0.9],
])(
  'a certificate of 30 hours, renewed %j ms before its end with spread %j, is renewed after %j hours',
  (before, spread, hours) => {
    expect(renewalTime(certificate, timeLead(before), spread)).toBeCloseTo(notBefore + hours * hour, 3)
  },
)

test.each([
  [25, 0, 22.5],
  [25, 1, 21.75],
  [99, 0, 0.3],
  [1, 0, 29.7],
])(
  'a certificate of 30 hours with %d %% of its life left and spread %d is renewed after %d hours',
  (percent, spread, hours) => {
    const time = renewalTime(certificate, { is: 'share', percent }, spread)
    expect(time).toBeCloseTo(notBefore + hours * hour, 3)
  },
)

const lifetimes = fc.integer({ min: 1000, max: 400 * 24 * hour })
const spreads = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('it is never before the certificate begins nor after it ends, so a fresh one is never due', () => {
  fc.assert(
    fc.property(lifetimes, fc.double({ min: 0.001, max: 1.5, noNaN: true }), spreads, (lifetime, share, spread) => {
      const fresh = { notBefore, notAfter: notBefore + lifetime }
      for (const before of [undefined, lifetime * share]) {
        const time = renewalTime(fresh, timeLead(before), spread)
        expect(time).toBeGreaterThan(notBefore)
        expect(time).toBeLessThan(fresh.notAfter)
      }
    }),
  )
})

test('it is at the documented time or up to a tenth of the lead before it', () => {
  fc.assert(
    fc.property(lifetimes, fc.double({ min: 0.001, max: 0.999, noNaN: true }), spreads, (lifetime, share, spread) => {
      const before = lifetime * share
      const documented = notBefore + lifetime - before
      const time = renewalTime({ notBefore, notAfter: notBefore + lifetime }, timeLead(before), spread)
      expect(time).toBeLessThanOrEqual(documented)
      expect(time).toBeGreaterThanOrEqual(documented - before / 10)
    }),
  )
})

test('the spread of a volume never changes', () => {
  expect(renewalSpread('csi-1')).toBe(renewalSpread('csi-1'))
  expect(renewalSpread('csi-1')).not.toBe(renewalSpread('csi-2'))
  // Stored nowhere, so a new version must compute the same.
  expect(renewalSpread('csi-1')).toBeCloseTo(0.9097884860821068, 9)
})

test('volumes are spread evenly', () => {
  const tenths = Array.from({ length: 10 }, () => 0)
  for (let volume = 0; volume < 10_000; volume++) {
    const spread = renewalSpread(`csi-${volume}`)
    expect(spread).toBeGreaterThanOrEqual(0)
    expect(spread).toBeLessThan(1)
    const tenth = Math.floor(spread * 10)
    tenths[tenth] = (tenths[tenth] ?? 0) + 1
  }
  for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(150)
})
