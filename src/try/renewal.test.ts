import { expect, test } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { watchRenewals } from './renewal.ts'
import { sampleAuthority, samplePlanned, samplePublished } from './sample.ts'
import type { Step } from './step.ts'

const volume = samplePublished(samplePlanned('app'), sampleAuthority('ca'))

test('nothing is waited for where no volume is renewed', async () => {
  const told: Step[] = []
  await watchRenewals(
    [{ ...volume, renewAt: undefined }],
    systemClock,
    (step) => told.push(step),
    new AbortController().signal,
  )
  expect(told).toMatchObject([
    { is: 'not renewed', reason: expect.stringContaining('disable-auto-renew') as string, asExpected: true },
  ])
})

test('a renewal that is far away is not waited for', async () => {
  const told: Step[] = []
  const later = { ...volume, renewAt: Date.now() + 3600_000 }
  await watchRenewals([later], systemClock, (step) => told.push(step), new AbortController().signal)
  expect(told).toMatchObject([{ is: 'not renewed', asExpected: true }])
})

test('whoever interrupts a wait is heard at once', async () => {
  const interruption = new AbortController()
  const reason = new Error('enough')
  const soon = { ...volume, renewAt: Date.now() + 100_000 }
  const tell = (step: Step) => {
    if (step.is === 'waiting') interruption.abort(reason)
  }
  await expect(watchRenewals([soon], systemClock, tell, interruption.signal)).rejects.toBe(reason)
})

test('a certificate that ends without a renewal is told', async () => {
  const told: Step[] = []
  const ended = {
    ...volume,
    renewAt: Date.now() - 1000,
    view: { ...volume.view, leaf: { ...volume.view.leaf, notAfter: Date.now() } },
  }
  await watchRenewals([ended], systemClock, (step) => told.push(step), new AbortController().signal).catch(() => {})
  expect(told).toContainEqual({
    is: 'not renewed',
    reason: 'the certificate of sandbox/app ended first',
    asExpected: false,
  })
})
