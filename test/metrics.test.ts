import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createApproverMetrics, registerApproverFigures } from '../src/approver/live/approver-metrics.ts'
import { registerApiMetrics } from '../src/driver/api-metrics.ts'
import { phases } from '../src/driver/metrics.ts'
import { createSyncMetrics, registerSyncFigures } from '../src/registrar/sync/sync-metrics.ts'
import { IssuerUnavailableError, RequestDeniedError } from '../src/issuer/errors.ts'
import { silentLog } from '../src/runtime/log.ts'
import { type MetricsServer, serveMetrics } from '../src/runtime/metrics-server.ts'
import { registerProcessMetrics } from '../src/runtime/process-metrics.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode } from './support/node.ts'
import { ScriptedIssuer } from './support/scripted-issuer.ts'
import { until } from './support/until.ts'

// What the driver tells whoever scrapes it, over HTTP.

let node: TestNode
let clock: ManualClock
let issuer: ScriptedIssuer
let server: MetricsServer

beforeEach(async () => {
  clock = new ManualClock()
  issuer = new ScriptedIssuer({ clock })
  node = await TestNode.start({ issuerFor: () => issuer, clock })
  const { registry } = node.driver.metrics
  registerAround(registry)
  server = (await serveMetrics('127.0.0.1:0', registry, silentLog)) as MetricsServer
})

afterEach(async () => {
  await server.close()
  await node.close()
})

/** What `podpass driver` adds to the driver's own. */
function registerAround(registry: Registry): void {
  registerProcessMetrics(registry, '1.2.3')
  registerApiMetrics(registry, {
    load: () => ({ inFlight: 2, waiting: 1 }),
    requestCounts: () => ({ True: 3, False: 1, Unknown: 2 }),
    problems: async () => ['the disk is full'],
  })
}

/** A metric as it is written. */
interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

async function scrape(): Promise<string> {
  return (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
}

function samplesIn(text: string): readonly Sample[] {
  return [...text.matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text = '']) => [key, text])),
    value: Number(value),
  }))
}

/** The value of one sample; undefined where there is none. */
async function valueOf(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
  const wanted = Object.entries(labels)
  return samplesIn(await scrape()).find(
    (sample) => sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value),
  )?.value
}

/** What `podpass approver` serves, but for what every process does. */
function approverRegistry(): Registry {
  const registry = new Registry()
  createApproverMetrics(registry)
  const figures = { waiting: () => new Map(), policies: () => ({ used: 0, unready: 0 }), queued: () => 0 }
  registerApproverFigures(registry, { ...figures, ready: () => true })
  return registry
}

/** What `podpass registrar` serves, but for what every process does. */
function registrarRegistry(): Registry {
  const registry = new Registry()
  createSyncMetrics(registry)
  const counts = { entries: 1, dirty: 0, retrying: 0, waitingDeletes: 0, isFuseTripped: false }
  registerSyncFigures(registry, () => ({ ...counts, troubled: new Map([['conflict', 2]]) }))
  return registry
}

/** The pages of all roles. */
async function pages(): Promise<string> {
  const others = [approverRegistry(), registrarRegistry()].map((registry) => registry.metrics())
  return [await scrape(), ...(await Promise.all(others))].join('')
}

const hour = 3600_000

test('a publish counts its request, its volume, each part of the way, and its answer', async () => {
  expect(await valueOf('certmanager_csi_managed_volume_count')).toBe(0)
  await node.publish(await node.volume())
  expect(await valueOf('certmanager_csi_issue_requests_total')).toBe(1)
  expect(await valueOf('certmanager_csi_managed_volume_count')).toBe(1)
  expect(await valueOf('podpass_volumes', { state: 'issued' })).toBe(1)
  expect(await valueOf('podpass_volumes', { state: 'unmanaged' })).toBe(0)
  expect(await valueOf('podpass_publish_duration_seconds_count', { outcome: 'OK' })).toBe(1)
  for (const phase of phases) {
    expect([phase, await valueOf('podpass_issuance_phase_duration_seconds_count', { phase })]).toEqual([phase, 1])
  }
})

test('the next expiry and renewal are those of the first volume, and absent without any', async () => {
  const [expires, renews] = ['expiration', 'renewal'].map(
    (what) => `certmanager_csi_certificate_request_${what}_timestamp_seconds`,
  ) as [string, string]
  expect(await valueOf(expires)).toBeUndefined()
  expect(await valueOf(renews)).toBeUndefined()
  const volumes = [await node.volume(), await node.volume({ 'csi.cert-manager.io/duration': '1h' })]
  for (const volume of volumes) await node.publish(volume)
  const reports = node.driver.inspect()
  const first = Math.min(...reports.map(({ issued }) => issued?.notAfter ?? Number.NaN))
  expect(await valueOf(expires)).toBe(first / 1000)
  expect(await valueOf(renews)).toBe(Math.min(...reports.map(({ renewAt }) => renewAt ?? Number.NaN)) / 1000)
  expect(await valueOf('podpass_expired_certificates')).toBe(0)
  for (const volume of volumes) await node.unpublish(volume)
  expect(await valueOf(expires)).toBeUndefined()
})

test('renewals, failures, retries and expired certificates are counted, and a failing volume until it is well', async () => {
  await node.publish(await node.volume({ 'csi.cert-manager.io/duration': '1h' }))
  issuer.script = { submit: () => new IssuerUnavailableError('the API server is away') }
  clock.advance(2 * hour)
  await until(
    'the renewal has failed',
    async () => (await valueOf('podpass_renewals_total', { outcome: 'failure' })) === 1,
  )
  expect(await valueOf('certmanager_csi_issue_errors_total', { reason: 'ISSUER_UNAVAILABLE' })).toBe(1)
  expect(await valueOf('podpass_failing_volumes')).toBe(1)
  expect(await valueOf('podpass_expired_certificates')).toBe(1)
  expect(await valueOf('podpass_issue_retries_total')).toBe(0)
  issuer.script = 'sign'
  await until('the renewal has succeeded', async () => {
    clock.advance(hour / 10)
    return (await valueOf('podpass_renewals_total', { outcome: 'success' })) === 1
  })
  expect(await valueOf('podpass_issue_retries_total')).toBe(1)
  expect(await valueOf('podpass_failing_volumes')).toBe(0)
  expect(await valueOf('podpass_expired_certificates')).toBe(0)
})

test('a denial is counted by its kind', async () => {
  issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'policy') }
  await expect(node.publish(await node.volume())).rejects.toThrow('policy')
  expect(await valueOf('podpass_denials_total', { reason: 'REQUEST_DENIED' })).toBe(1)
  expect(await valueOf('podpass_publish_duration_seconds_count', { outcome: 'FAILED_PRECONDITION' })).toBe(1)
})

test('what surrounds the driver is told: readiness, calls, requests, the process', async () => {
  expect(await valueOf('podpass_ready')).toBe(0)
  expect(await valueOf('podpass_api_calls', { state: 'in_flight' })).toBe(2)
  expect(await valueOf('podpass_api_calls', { state: 'waiting' })).toBe(1)
  expect(await valueOf('certmanager_csi_managed_certificate_request_count')).toBe(6)
  expect(await valueOf('certmanager_csi_certificate_request_ready_status', { condition: 'False' })).toBe(1)
  expect(await valueOf('podpass_key_pool_keys', { size: '2048' })).toBe(0)
  expect(await valueOf('podpass_build_info', { version: '1.2.3' })).toBe(1)
  expect(await valueOf('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  expect(await valueOf('process_open_fds')).toBeGreaterThan(2)
  const before = (await valueOf('process_cpu_seconds_total')) ?? Number.NaN
  expect(await valueOf('process_cpu_seconds_total')).toBeGreaterThanOrEqual(before)
})

/** Names that cert-manager's csi-lib chose, which break a rule. */
const namesOfCsiLib = new Set([
  'certmanager_csi_managed_volume_count',
  'certmanager_csi_managed_certificate_request_count',
])

test('names, labels and help keep to the rules of Prometheus, and no label can grow with pods', async () => {
  await node.publish(await node.volume())
  const metrics = await node.driver.metrics.registry.getMetricsAsJSON()
  const types = new Map([...(await scrape()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]))
  expect(metrics.length).toBeGreaterThan(20)
  for (const { name, help } of metrics) {
    expect(name).toMatch(/^(podpass|certmanager_csi|process)_[a-z]+(_[a-z]+)*$/)
    expect(help).toMatch(/^.{10,}\.$/)
    // promtool check metrics: counters end in _total and nothing else does, nor in what histograms add; base units, not shortened.
    expect([name, name.endsWith('_total')]).toEqual([name, types.get(name) === 'counter'])
    expect([name, /_(count|sum|bucket)$/.test(name)]).toEqual([name, namesOfCsiLib.has(name)])
    expect(name).not.toMatch(/(counter|gauge|histogram|_(ms|milliseconds|minutes|hours|kb|mb|sec|num)(_|$))/)
  }
  const allowed: Readonly<Record<string, RegExp>> = {
    outcome: /^[A-Z_]+$|^(success|failure|regained|lost)$/,
    reason: /^[A-Z_]+$/,
    phase: /^[a-z]+$/,
    state: /^[a-z_]+$/,
    condition: /^(True|False|Unknown)$/,
    size: /^\d{4}$/,
    le: /^(\+Inf|[\d.]+)$/,
    version: /^[\d.]+$/,
    node_version: /^[\d.]+$/,
  }
  for (const { labels } of samplesIn(await scrape())) {
    for (const [label, value] of Object.entries(labels))
      expect(value).toMatch(allowed[label] ?? /^there is no such label$/)
  }
})

test('the documentation names every metric with its type, and no other', async () => {
  const text = await readFile(join(import.meta.dirname, '../docs/metrics.md'), 'utf8')
  const documented = [...text.matchAll(/^\| `([a-z_]+)`[^|]*\| (counter|gauge|histogram) /gm)].map(
    ([, name, type]) => `${name} ${type}`,
  )
  const served = [...(await pages()).matchAll(/^# TYPE (\S+ \S+)$/gm)].map(([, line = '']) => line)
  expect(documented.toSorted()).toEqual(served.toSorted())
})

test('every metric that an alert of the documentation asks for is there', async () => {
  const text = await readFile(join(import.meta.dirname, '../docs/metrics.md'), 'utf8')
  const expressions = [...text.matchAll(/^ +expr: (.+)$/gm)].map(([, expression = '']) => expression)
  expect(expressions.length).toBeGreaterThan(5)
  const served = new Set([...(await pages()).matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name))
  for (const expression of expressions) {
    for (const [name] of expression.matchAll(/\b(?:podpass|certmanager_csi|process)_\w+/g)) {
      expect(served).toContain(
        name.replace(/_(bucket|count|sum)$/, (suffix) => (namesOfCsiLib.has(name) ? suffix : '')),
      )
    }
  }
})
