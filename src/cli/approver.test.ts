import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { policyDocument, world } from '../approver/fixtures/world.ts'
import { signingRequest } from '../approver/fixtures/requests.ts'

// The commands as people start them, on real files.

let directory = ''
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podpass-approver-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

const main = new URL('main.ts', import.meta.url).pathname

function run(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'approver', ...args], (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err })
    })
  })
}

async function file(name: string, content: string): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, content)
  return path
}

const spec = {
  requests: { signerNames: ['example.com/serving'] },
  names: { allowed: { dnsNames: ['*.${namespace}.svc'] } },
}
const tests = [
  { name: 'good', request: { pod: 'shop/web-0', dnsNames: ['web.bank.svc'] }, expect: 'deny' },
  { name: 'bad', request: { pod: 'shop/web-0', dnsNames: ['web.bank.svc'] }, expect: 'approve' },
]

describe('approver check', () => {
  test('passes the examples with all their tests', async () => {
    const folder = new URL('../../examples/approver/', import.meta.url).pathname
    const names = (await readdir(folder)).map((name) => join(folder, name))
    expect(await run('check', ...names)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/good policies, \d+ tests passed/) as string,
    })
  })

  test('ends with 1 where a test fails, and says what became of it', async () => {
    const { code, out } = await run('check', await file('tests.yaml', policyDocument('p', { ...spec, tests })))
    expect(code).toBe(1)
    expect(out).toContain('✓ p: good')
    expect(out).toContain('✗ p: bad\n    expected approve, and it is deny: policy p: DNS:web.bank.svc')
  })

  test('ends with 2 where a policy cannot be used, or a document is none', async () => {
    const { code, out } = await run(
      'check',
      await file('bad.yaml', `${policyDocument('p', {})}\n---\nkind: CertificatePolicies\n`),
    )
    expect(code).toBe(2)
    expect(out).toContain('spec.requests is required')
    expect(out).toContain('is no CertificatePolicy')
    expect((await run('check', await file('empty.yaml', ''))).code).toBe(2)
    expect((await run('check', join(directory, 'missing.yaml'))).code).toBe(2)
  })

  test('tells scripts the same', async () => {
    const { out } = await run('check', '-o', 'json', await file('tests.yaml', policyDocument('p', { ...spec, tests })))
    expect(JSON.parse(out)).toMatchObject({
      policies: ['p'],
      problems: [],
      tests: [
        { test: 'good', passed: true },
        { test: 'bad', passed: false, decision: 'deny' },
      ],
    })
  })
})

describe('approver explain', () => {
  const { kind, object } = signingRequest({ names: { dns: ['web.shop.svc'] } })
  const asked = JSON.stringify({ apiVersion: 'certificates.k8s.io/v1', kind, ...object, metadata: { name: 'web-1' } })

  test('shows each rule with its value, and the decision', async () => {
    const [request, policy, objects] = await Promise.all([
      file('request.yaml', asked),
      file('policy.yaml', policyDocument('web', spec)),
      file('objects.yaml', JSON.stringify({ kind: 'List', items: world })),
    ])
    const known = await run('explain', request, '--policy', policy, '--objects', objects)
    expect(known).toMatchObject({ code: 0, err: '' })
    expect(known.out).toContain('✓ names.binding: DNS:web.shop.svc: it is a name of the pod')
    expect(known.out).toContain('approve (PolicyPassed)')
    const unknown = await run('explain', request, '-p', policy, '-o', 'json')
    expect(JSON.parse(unknown.out)).toMatchObject({
      decision: 'wait',
      request: 'CertificateSigningRequest web-1',
      policies: [{ policy: 'web', result: 'failed' }],
    })
  })

  test('ends with 2 for what is no request, and without policies', async () => {
    const policy = await file('policy.yaml', policyDocument('web', spec))
    const pod = await run('explain', await file('pod.yaml', 'kind: Pod\nmetadata: {name: a}\n'), '-p', policy)
    expect(pod).toMatchObject({ code: 2, err: expect.stringContaining('is no request') as string })
    const broken = await file('broken.yaml', asked.replace('"signerName":"example.com/serving"', '"signerName":7'))
    expect(await run('explain', broken, '-p', policy)).toMatchObject({
      code: 2,
      err: expect.stringContaining('spec.signerName must be a text') as string,
    })
    expect((await run('explain', broken)).code).toBe(2)
  })
})

test('approver convert prints policies that check takes, and none for one that would be weaker', async () => {
  const theirs = (name: string, more: object): string =>
    JSON.stringify({
      apiVersion: 'policy.cert-manager.io/v1alpha1',
      kind: 'CertificateRequestPolicy',
      metadata: { name },
      spec: {
        allowed: { dnsNames: { values: ['*.example.com'] }, usages: ['server auth'] },
        selector: { issuerRef: { name: 'ca' } },
        ...more,
      },
    })
  const good = await run('convert', await file('good.yaml', theirs('good', {})))
  expect(good).toMatchObject({
    code: 0,
    err: expect.stringContaining('its asterisk stands for one label here') as string,
  })
  expect((await run('check', await file('converted.yaml', good.out))).code).toBe(0)
  const weak = await run('convert', await file('weak.yaml', theirs('weak', { plugins: { rego: {} } })))
  expect(weak).toMatchObject({ code: 2, out: '', err: expect.stringContaining('plugins.rego') as string })
})

test('a flag that the approver has too is that of the command which it stands behind', async () => {
  const accounts = policyDocument('accounts', {
    ...spec,
    requests: { signerNames: ['kubernetes.io/kube-apiserver-client'] },
  })
  const path = await file('accounts.yaml', accounts)
  expect((await run('check', path)).code).toBe(2)
  expect((await run('check', '--allow-apiserver-signers', path)).code).toBe(0)
  expect((await run('check', path, '--allow-apiserver-signers')).code).toBe(0)
})

test('the approver refuses a lease that would not keep two apart, and flags that its commands would not see', async () => {
  const timing = await run('--leader-election-lease-duration=2s', '--server=https://127.0.0.1:1')
  expect(timing).toMatchObject({ code: 2, err: expect.stringContaining('must be longer than') as string })
  const before = await run('--kubeconfig=other', 'explain', 'csr/web-1')
  expect(before).toMatchObject({
    code: 2,
    err: expect.stringContaining('--kubeconfig must stand behind explain') as string,
  })
})
