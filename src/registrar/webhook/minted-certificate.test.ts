import { X509Certificate } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { recordingLog } from '../../../test/support/recording-log.ts'
import { until } from '../../../test/support/until.ts'
import type { MintedSvid } from '../../spire/svid-service.ts'
import { hour, newKey, now, testAuthority, testLeaf } from '../../x509/test-pki.ts'
import { keepMinted } from './minted-certificate.ts'
import type { ServingMaterial } from './serving-material.ts'

const authority = testAuthority('SPIRE')
const running: { readonly stop: AbortController; readonly ended: Promise<void> }[] = []

afterEach(async () => {
  for (const { stop, ended } of running.splice(0)) {
    stop.abort(new Error('the test ends'))
    await ended
  }
})

/** @param failures - how many of the first requests fail */
function minting(failures: number) {
  const clock = new ManualClock(now)
  const served: ServingMaterial[] = []
  const lines: string[] = []
  let left = failures
  let asked = 0
  const mint = async (): Promise<MintedSvid> => {
    asked += 1
    left -= 1
    if (left >= 0) throw new Error('SPIRE is down')
    const key = newKey()
    const leaf = testLeaf(authority, key, { notBefore: clock.now(), notAfter: clock.now() + hour }, clock.now())
    return { key, chain: [leaf, authority.certificate] }
  }
  const stop = new AbortController()
  const onMinted = async (material: ServingMaterial): Promise<void> => {
    served.push(material)
  }
  const ended = keepMinted({ mint, onMinted, clock, log: recordingLog(lines), random: () => 0 }, stop.signal)
  running.push({ stop, ended })
  return { clock, served, lines, asked: () => asked }
}

test('a new certificate is served at half the life of the last', async () => {
  const { clock, served } = minting(0)
  await until('the first is served', () => served.length === 1 && clock.timers === 1)
  expect(clock.next).toBe(hour / 2)
  clock.advance(hour / 2)
  await until('the second is served', () => served.length === 2)
  const serials = served.map(({ certificate }) => new X509Certificate(certificate).serialNumber)
  expect(serials[0]).not.toBe(serials[1])
  expect(served[0]?.certificate.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
})

test('SPIRE is asked again for as long as it takes, and the log says so once and holds no key', async () => {
  const { clock, served, lines, asked } = minting(30)
  for (let attempt = 1; attempt <= 30; attempt++) {
    await until('it is asked', () => asked() === attempt && clock.timers === 1)
    expect(clock.next).toBeLessThanOrEqual(60_000)
    clock.advance(60_000)
  }
  await until('it is served', () => served.length === 1)
  expect(lines.filter((line) => line.includes('signs no certificate'))).toHaveLength(1)
  expect(lines.join('\n')).not.toContain('PRIVATE KEY')
})

test('it ends with its signal', async () => {
  const { clock, served } = minting(0)
  await until('the first is served', () => served.length === 1 && clock.timers === 1)
  const [{ stop, ended } = { stop: new AbortController(), ended: Promise.resolve() }] = running.splice(0)
  stop.abort(new Error('stopped'))
  await ended
  expect(clock.timers).toBe(0)
})
