import { expect, test } from 'vitest'
import type { VolumeReport } from '../driver/volume-report.ts'
import { renderVolumes, span, volumesAsJson } from './volume-table.ts'

const now = Date.UTC(2026, 10, 23, 12)
const minute = 60_000
const hour = 60 * minute

function report(changes: Partial<VolumeReport> = {}): VolumeReport {
  return {
    volumeId: 'csi-0123456789abcdef0123456789abcdef',
    target: '/pods/u/volumes/tls/mount',
    directory: '/data/volumes/csi-0123456789abcdef0123456789abcdef',
    pod: { namespace: 'sandbox', name: 'web-0', uid: 'u', serviceAccount: 'default' },
    issuer: { name: 'ca-issuer', kind: 'ClusterIssuer', group: 'cert-manager.io' },
    state: 'issued',
    shown: true,
    detached: false,
    former: false,
    progress: undefined,
    request: 'CertificateRequest sandbox/podpass-1',
    issued: { notBefore: now - hour, notAfter: now + 2 * hour, serial: '0a' },
    renewAt: now + hour + 30 * minute,
    lastError: undefined,
    lastErrorAt: undefined,
    ...changes,
  }
}

test('each volume has a line with its pod, state, expiry and renewal from now and by the clock, and issuer', () => {
  const [header, line, end] = renderVolumes([report()], now).split('\n')
  const expected = [
    ['POD', 'sandbox/web-0'],
    ['VOLUME', 'csi-0123456789ab'],
    ['STATE', 'issued'],
    ['EXPIRES', 'in 2h (2026-11-23T14:00:00Z)'],
    ['RENEWS', 'in 1h30m (2026-11-23T13:30:00Z)'],
    ['ISSUER', 'ClusterIssuer/ca-issuer'],
  ] as const
  expect(line).toBe(expected.map(([, cell]) => cell).join('  '))
  for (const [title, cell] of expected) expect(header?.indexOf(title)).toBe(line?.indexOf(cell))
  expect(end).toBe('')
})

test('what goes on and what went wrong stands below, on one line each', () => {
  const renewing = report({
    state: 'renewing',
    renewAt: undefined,
    progress: 'CertificateRequest sandbox/podpass-2: waiting for\napproval',
    lastError: 'the issuer is\nnot ready',
    lastErrorAt: now - 90_000,
  })
  expect(renderVolumes([renewing], now).split('\n').slice(2)).toEqual([
    '  now: CertificateRequest sandbox/podpass-2: waiting for approval',
    '  last error (1m30s ago): the issuer is not ready',
    '',
  ])
})

test('what needs a look is marked: expired, of the former driver, detached, unmanaged', () => {
  const stateOf = (changes: Partial<VolumeReport>): string | undefined =>
    renderVolumes([report(changes)], now)
      .split('\n')[1]
      ?.split(/ {2,}/)[2]
  const issued = { notBefore: 0, notAfter: now - minute, serial: '0a' }
  expect(stateOf({ issued })).toBe('issued, expired')
  expect(renderVolumes([report({ issued })], now)).toContain('1m ago (2026-11-23T11:59:00Z)')
  expect(stateOf({ former: true })).toBe('issued, former driver')
  expect(stateOf({ detached: true })).toBe('issued, detached')
  const unknown = { target: undefined, pod: undefined, issuer: undefined, issued: undefined, renewAt: undefined }
  expect(renderVolumes([report({ ...unknown, state: 'unmanaged' })], now).split('\n')[1]).toBe(
    '-    csi-0123456789ab  unmanaged  -        -       -',
  )
})

test('those without a certificate come first, then the next to expire', () => {
  const named = (name: string, notAfter: number | undefined): VolumeReport =>
    report({
      pod: { namespace: 'a', name, uid: 'u', serviceAccount: 'default' },
      issued: notAfter === undefined ? undefined : { notBefore: 0, notAfter, serial: '1' },
    })
  const table = renderVolumes([named('late', now + 9), named('soon', now + 1), named('none', undefined)], now)
  expect([...table.matchAll(/^a\/(\w+)/gm)].map(([, name]) => name)).toEqual(['none', 'soon', 'late'])
})

test('a node without volumes says so', () => {
  expect(renderVolumes([], now)).toBe('no volumes on this node\n')
})

test('for machines times are RFC 3339, and what is not known is absent', () => {
  const [json] = JSON.parse(volumesAsJson([report({ lastErrorAt: now, lastError: 'no' })])) as unknown[]
  expect(json).toMatchObject({
    issued: { notBefore: '2026-11-23T11:00:00Z', notAfter: '2026-11-23T14:00:00Z', serial: '0a' },
    renewAt: '2026-11-23T13:30:00Z',
    lastErrorAt: '2026-11-23T12:00:00Z',
  })
  const [bare] = JSON.parse(volumesAsJson([report({ issued: undefined, renewAt: undefined })])) as object[]
  expect(Object.keys(bare ?? {})).not.toContain('issued')
})

test.each([
  [0, '0s'],
  [999, '0s'],
  [59_999, '59s'],
  [90_000, '1m30s'],
  [hour, '1h'],
  [25 * hour + minute, '1d1h'],
  [24 * hour + minute, '1d'],
])('%d ms are %s', (milliseconds, text) => {
  expect(span(milliseconds)).toBe(text)
})
