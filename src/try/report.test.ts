import { expect, test } from 'vitest'
import { reportProblems, reportSteps } from './report.ts'
import { sampleAuthority, samplePlanned, samplePublished } from './sample.ts'
import type { Step } from './step.ts'

const volume = samplePublished(
  samplePlanned('app', {
    'csi.cert-manager.io/pkcs12-enable': 'true',
    'csi.cert-manager.io/pkcs12-password': 'hunter2',
  }),
  sampleAuthority('ca'),
)
const started: Step = {
  is: 'started',
  ground: 'private-folder',
  driver: 'csi.cert-manager.io',
  socket: '/s',
  issuers: [volume.planned.spec.issuer],
  signer: 'an embedded CA',
  lifetime: 20_000,
  volumes: [volume.planned],
}
const left: Step = { is: 'left', leftovers: { volumes: [], mounts: [], files: [], sockets: [] } }

test('a report is plain data: what was told, with times that machines read', () => {
  const report = reportSteps(
    [started, { is: 'published', volume }, { is: 'read', readings: { reads: 3, mixed: 0 } }, left],
    [],
  )
  expect(JSON.parse(JSON.stringify(report))).toMatchObject({
    ok: true,
    place: 'private-folder',
    lifetimeSeconds: 20,
    volumes: [
      {
        namespace: 'sandbox',
        pod: 'app',
        volume: 'tls',
        volumeId: volume.handle,
        certificate: {
          notAfter: new Date(volume.view.leaf.notAfter).toISOString(),
          names: { dns: ['app.sandbox.svc'] },
        },
        chain: { verified: true },
        keyMatches: true,
      },
    ],
    reads: { reads: 3, mixed: 0 },
    leftovers: { mounts: [] },
  })
})

test('a report holds neither keys nor attributes, which may be passwords', () => {
  const text = JSON.stringify(reportSteps([started, { is: 'published', volume }, left], []))
  expect(text).not.toContain('PRIVATE KEY')
  expect(text).not.toContain('hunter2')
})

test('anything that is not as it must be makes the report bad', () => {
  const bad: Step = { is: 'keys', volumes: 2, different: 1 }
  expect(reportSteps([started, left], []).ok).toBe(true)
  expect(reportSteps([started, bad, left], []).ok).toBe(false)
  expect(reportSteps([started, left], [], 'SIGINT')).toMatchObject({ ok: false, interrupted: 'SIGINT' })
  expect(reportProblems([]).ok).toBe(false)
})
