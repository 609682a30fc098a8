import { execFile } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { writePayload } from '../volume/payload-writer.ts'
import { CertificateError } from '../x509/certificate.ts'
import { PairReader } from './pair-reader.ts'
import type { Credentials } from './pod-view.ts'
import { sampleAuthority, sampleCredentials, samplePlanned } from './sample.ts'

const run = promisify(execFile)
const authority = sampleAuthority('ca-issuer')
const { spec } = samplePlanned('app')

let target: string
beforeEach(async () => {
  target = await mkdtemp(join(tmpdir(), 'podpass-reader-'))
})
afterEach(async () => {
  await run('chmod', ['-R', 'u+w', target])
  await rm(target, { recursive: true, force: true })
})

const write = ({ certificate, privateKey, ca }: Credentials) =>
  writePayload(
    target,
    {
      files: new Map([
        ['tls.crt', certificate],
        ['tls.key', privateKey],
        ['ca.crt', ca],
      ]),
      links: new Map(),
    },
    undefined,
  )

test('a reader that looks all the time meets every certificate that stays a while, and no mixed pair', async () => {
  const generations = Array.from({ length: 10 }, () => sampleCredentials(authority, spec.names))
  const sightings = new EventEmitter()
  await write(generations[0]!)
  const first = once(sightings, 'seen')
  const reader = new PairReader([{ target, spec }], systemClock, ({ credentials }) =>
    sightings.emit('seen', credentials),
  )
  expect(await first).toEqual([generations[0]])
  for (const generation of generations.slice(1)) {
    const seen = once(sightings, 'seen')
    await write(generation)
    expect(await Promise.race([seen, reader.failure])).toEqual([generation])
  }
  await reader.close()
  expect(reader.readings.mixed).toBe(0)
  expect(reader.readings.reads).toBeGreaterThanOrEqual(10)
})

test('files that change all the time never show a mixed pair', async () => {
  const generations = Array.from({ length: 4 }, () => sampleCredentials(authority, spec.names))
  await write(generations[0]!)
  const reader = new PairReader([{ target, spec }], systemClock, () => {})
  for (let round = 0; round < 200; round++) await write(generations[round % 4]!)
  await reader.close()
  expect(reader.readings.mixed).toBe(0)
})

test('a pair that does not belong together is counted, as often as it is read', async () => {
  const [one, two] = [sampleCredentials(authority, spec.names), sampleCredentials(authority, spec.names)]
  await write({ ...one, privateKey: two.privateKey })
  const reader = new PairReader([{ target, spec }], systemClock, () => {})
  await expect.poll(() => reader.readings.mixed).toBeGreaterThan(2)
  await reader.close()
  expect(reader.readings.mixed).toBe(reader.readings.reads)
})

const brokenCertificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'

test('a reader that cannot go on says why', async () => {
  await write({ ...sampleCredentials(authority, spec.names), certificate: brokenCertificate })
  const reader = new PairReader([{ target, spec }], systemClock, () => {})
  await expect(reader.failure).rejects.toThrow(CertificateError)
  await reader.close()
})
