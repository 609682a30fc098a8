import { expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { Denials, type RefusedRequest } from './denials.ts'
import { RefusedError } from './errors.ts'

function refused(number: number): RefusedRequest {
  const handle = { id: `${number}`, name: `request ${number}`, reference: {} }
  return { issuer: { name: 'ca-issuer', kind: 'Issuer', group: 'cert-manager.io' }, handle }
}

test('the last thousand are remembered, and the requests of older ones are discarded', () => {
  const discarded: RefusedRequest[] = []
  const denials = new Denials(new ManualClock(), (request) => discarded.push(request))
  for (let number = 0; number < 1010; number++) denials.remember(`csi-${number}`, 'no', refused(number))
  expect(discarded).toEqual(Array.from({ length: 10 }, (_, number) => refused(number)))
  denials.check('csi-9')
  expect(() => denials.check('csi-10')).toThrow(RefusedError)
  expect(denials.holds('csi-9', '9')).toBe(false)
  expect(denials.holds('csi-1009', '1009')).toBe(true)
})

test('one that is refused again counts as new, and keeps its count of attempts', () => {
  const clock = new ManualClock()
  const denials = new Denials(clock, () => {})
  for (let number = 0; number < 1000; number++) denials.remember(`csi-${number}`, 'no', undefined)
  denials.remember('csi-0', 'no', undefined)
  denials.remember('csi-1000', 'no', undefined)
  denials.check('csi-1')
  clock.advance(60_000)
  expect(() => denials.check('csi-0')).toThrow(RefusedError)
  denials.check('csi-1000')
})

test('a volume that is gone is forgotten, and its request discarded', () => {
  const discarded: RefusedRequest[] = []
  const denials = new Denials(new ManualClock(), (request) => discarded.push(request))
  denials.remember('csi-1', 'no', refused(1))
  denials.forget('csi-1')
  denials.forget('csi-1')
  denials.check('csi-1')
  expect(discarded).toEqual([refused(1)])
})
