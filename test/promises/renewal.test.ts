import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { IssuerUnavailableError } from '../../src/issuer/errors.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode } from '../support/node.ts'
import { until } from '../support/until.ts'

// What the driver promises of renewal (docs/promises.md, 10), on its socket. Many at once are in test/storms.test.ts.

const minute = 60_000
const hour = 60 * minute

const tokens = (token: string, expires: number): Record<string, string> => ({
  'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify({
    '': { token, expirationTimestamp: new Date(expires).toISOString() },
  }),
})

describe('promise 10, renewal', () => {
  test('it starts after two thirds of the lifetime, spread, and never before', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume({ 'csi.cert-manager.io/duration': '30h' })
    await node.publish(volume)
    const [report] = node.driver.inspect()
    const renewAt = report?.renewAt ?? 0
    const into = renewAt - (report?.issued?.notBefore ?? 0)
    expect(into).toBeGreaterThan(18.9 * hour)
    expect(into).toBeLessThanOrEqual(20 * hour)
    clock.advance(renewAt - clock.now() - 1)
    expect(node.driver.inspect()[0]?.state).toBe('issued')
    clock.advance(1)
    expect(node.driver.inspect()[0]?.state).toBe('renewing')
  })

  test('it starts as long before the end as `renew-before` says, and up to a tenth of that earlier', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume({
      'csi.cert-manager.io/duration': '30h',
      'csi.cert-manager.io/renew-before': '5h',
    })
    await node.publish(volume)
    const [report] = node.driver.inspect()
    const lead = (report?.issued?.notAfter ?? 0) - (report?.renewAt ?? 0)
    expect(lead).toBeGreaterThanOrEqual(5 * hour)
    expect(lead).toBeLessThan(5.5 * hour)
  })

  test('a failed renewal is tried again until it succeeds, also after expiry, with one request, and each failure is told', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.serial(volume)
    node.issuer.script = { wait: () => new IssuerUnavailableError('the issuer is not ready') }
    clock.advance(700 * hour)
    for (let failures = 1; failures <= 5; failures++) {
      await until('it failed', () => node.told('RenewalFailed').length >= failures)
      clock.advance(hour)
    }
    clock.advance(100 * hour)
    node.issuer.release()
    await until('it is renewed', async () => {
      clock.advance(hour)
      return (await node.serial(volume)) !== before
    })
    expect(node.issuer.requests).toHaveLength(2)
    await until('it is counted', async () =>
      /podpass_renewals_total\{[^}]*"success"[^}]*\} 1/.test(await node.metrics()),
    )
    expect(node.driver.inspect()[0]?.lastError).toBeUndefined()
  })

  test('a certificate that would expire is reported long before: by event, metric and report', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const { notAfter = 0 } = node.driver.inspect()[0]?.issued ?? {}
    node.issuer.script = { submit: () => new IssuerUnavailableError('the API server is away') }
    clock.advance(480 * hour)
    const { message } = await until('it is told', () => node.told('RenewalFailed')[0])
    expect(message).toContain(`expires ${new Date(notAfter).toISOString()}`)
    expect(notAfter - clock.now()).toBeGreaterThanOrEqual(239 * hour)
    expect(node.driver.inspect()[0]?.lastError).toBe('the API server is away')
    expect(await node.metrics()).toContain(
      `certmanager_csi_certificate_request_expiration_timestamp_seconds ${notAfter / 1000}`,
    )
  })

  test('disable-auto-renew is honoured, also after a restart', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume({ 'csi.cert-manager.io/disable-auto-renew': 'true' })
    await node.publish(volume)
    await node.stopDriver()
    await node.startDriver()
    expect(node.driver.inspect()[0]).toMatchObject({ state: 'issued', renewAt: undefined })
    clock.advance(10_000 * hour)
    expect(node.issuer.requests).toHaveLength(1)
  })

  test('reuse-private-key keeps the key over a renewal', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume({ 'csi.cert-manager.io/reuse-private-key': 'true' })
    await node.publish(volume)
    const [key, serial] = [await node.read(volume, 'tls.key'), await node.serial(volume)]
    clock.advance(700 * hour)
    await node.renewed(volume, serial)
    expect(await node.read(volume, 'tls.key')).toBe(key)
  })

  test('a renewal in the name of a pod whose token has ended waits for the next republish, and is told after five minutes', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    node.issuer.needsToken = true
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({ code: status.UNAVAILABLE })
    await node.publish({ ...volume, context: { ...volume.context, ...tokens('first', clock.now() + hour) } })
    const serial = await node.serial(volume)
    clock.advance(700 * hour)
    await until('the renewal waits', () => node.driver.inspect()[0]?.state === 'issued')
    expect(node.told('RenewalFailed')).toEqual([])
    clock.advance(5 * minute)
    await until('it is told', () => node.told('RenewalFailed')[0])
    expect(await node.metrics()).toMatch(/certmanager_csi_issue_errors_total\{[^}]*reason="TOKEN_MISSING"[^}]*\} [1-9]/)
    await node.publish({ ...volume, context: { ...volume.context, ...tokens('second', clock.now() + hour) } })
    clock.advance(0)
    await node.renewed(volume, serial)
    expect(node.issuer.tokens).toEqual(['first', 'second'])
  })

  test('a wall clock that jumps over the time of renewal, as after a suspend, is noticed within an hour of running time', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const serial = await node.serial(volume)
    clock.jump(700 * hour)
    expect(clock.next).toBeLessThanOrEqual(hour)
    clock.advance(hour)
    await node.renewed(volume, serial)
  })

  test('a wall clock that jumps beyond the end of the certificate renews it too', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const serial = await node.serial(volume)
    clock.jump(10_000 * hour)
    await node.publish(volume)
    clock.advance(hour)
    await node.renewed(volume, serial)
    expect(node.issuer.requests).toHaveLength(2)
  })

  test('a wall clock that is set back renews nothing early, and the renewal comes at its wall-clock time', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const { renewAt = 0 } = node.driver.inspect()[0] ?? {}
    clock.jump(-1000 * hour)
    await node.publish(volume)
    clock.advance(renewAt - clock.now() - 1)
    expect(node.issuer.requests).toHaveLength(1)
    expect(node.driver.inspect()[0]).toMatchObject({ state: 'issued', renewAt })
    clock.advance(hour)
    await until('it is renewed', () => node.issuer.requests.length === 2)
  })

  test('a wall clock that was ahead when a certificate came, and is set right, does not renew in a loop', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    clock.jump(700 * hour)
    clock.advance(hour)
    await until('it is renewed', () => node.issuer.requests.length === 2)
    await until('it is over', () => node.driver.inspect()[0]?.state === 'issued')
    clock.jump(-701 * hour)
    clock.advance(400 * hour)
    expect(node.issuer.requests).toHaveLength(2)
    expect(node.driver.inspect()[0]?.state).toBe('issued')
  })
})
