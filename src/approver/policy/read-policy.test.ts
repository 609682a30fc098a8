import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readManifest } from '../../manifest/manifest.ts'
import { loadCel } from '../rule/cel.ts'
import { type LoadedPolicies, loadPolicies } from './load-policies.ts'

async function load(text: string, allowApiserverSigners = false): Promise<LoadedPolicies> {
  const { documents } = readManifest({ name: 'policies.yaml', text })
  return loadPolicies(documents, { allowApiserverSigners }, () => loadCel())
}

test('everything that is wrong is told at once, with line and column, and what was meant', async () => {
  const { policies, problems } = await load(`
apiVersion: podpass.io/v1alpha1
kind: CertificatePolicy
metadata: { name: bad }
spec:
  requests:
    signerName: [example.com/serving]
    signerNames: [example.com/serving]
  binding: pods
  keys: [{ algorithm: RSA, minSize: '2048' }]
`)
  expect(policies).toEqual([])
  expect(problems).toEqual([
    {
      location: { source: 'policies.yaml', line: 7, column: 5 },
      object: 'CertificatePolicy bad',
      message: 'spec.requests.signerName is unknown, did you mean signerNames?',
    },
    {
      location: { source: 'policies.yaml', line: 9, column: 3 },
      object: 'CertificatePolicy bad',
      message: 'spec.binding must be one of pod, serviceAccount, node, none',
    },
    {
      location: { source: 'policies.yaml', line: 10, column: 28 },
      object: 'CertificatePolicy bad',
      message: 'spec.keys[0].minSize must be a number, and is a text',
    },
  ])
})

async function messages(spec: string, allowApiserverSigners = false): Promise<readonly string[]> {
  const { problems } = await load(
    `{apiVersion: podpass.io/v1alpha1, kind: CertificatePolicy, metadata: {name: p}, spec: ${spec}}`,
    allowApiserverSigners,
  )
  return problems.map(({ message }) => message)
}

const requests = 'requests: {signerNames: [example.com/x]}'

test.each([
  [
    `{${requests}, names: {allowed: {dnsNames: ['\${pod.nam}.svc']}}}`,
    /there is no fact pod\.nam, did you mean pod\.name\?/,
  ],
  [`{${requests}, names: {allowed: {uris: ['spiffe://td/*']}}}`, /uris\[0\] does not name the pod/],
  [
    `{${requests}, names: {allowed: {uris: ['spiffe://td/\${namespace}/\${pod.labels[app]}']}}}`,
    /uris\[0\] does not name the pod/,
  ],
  [
    `{${requests}, binding: serviceAccount, names: {allowed: {dnsNames: ['*.\${namespace}.svc']}}}`,
    /dnsNames\[0\] does not name the serviceAccount/,
  ],
  [
    `{${requests}, binding: node, names: {allowed: {uris: ['spiffe://td/\${pod.uid}']}}}`,
    /uris\[0\] does not name the node/,
  ],
  [`{${requests}, names: {allowed: {organizations: ['*']}}}`, /organizations\[0\] has an asterisk/],
  [
    `{${requests}, rules: [{name: a, expression: request.x}]}`,
    /rules\[0\]\.expression cannot be used: there is no field x/,
  ],
  [`{${requests}, rules: [{name: a, expression: 'true'}, {name: a, expression: 'true'}]}`, /the name of two rules/],
  [
    `{${requests}, issue: {uris: ['spiffe://td/\${pod.uid}'], organizations: [a, 'system:masters'], usages: [client auth]}}`,
    /issue\.organizations\[1\] begins with "system:"/,
  ],
  [
    `{${requests}, issue: {commonName: 'system:node:\${pod.uid}', usages: [client auth]}}`,
    /issue\.commonName begins with "system:"/,
  ],
  [`{${requests}, duration: {min: 2h, max: 1h}}`, /duration\.min is more than max/],
  [
    `{${requests}, issue: {dnsNames: ['*.\${namespace}.svc'], usages: [server auth]}}`,
    /has an asterisk, and is a name to issue/,
  ],
  [`{${requests}, issue: {dnsNames: [web.svc], usages: [server auth]}}`, /issue\.dnsNames\[0\] does not name the pod/],
  [`{${requests}, issue: {commonName: '\${pod.uid}', usages: [any]}}`, /"any" is never issued/],
  ['{requests: {kinds: [CertificateRequest], signerNames: [example.com/x]}}', /needs issuers/],
  ['{requests: {kinds: [CertificateSigningRequest], issuers: [{name: ca}]}}', /need signerNames/],
])('%s is refused', async (spec, message) => {
  expect(await messages(spec)).toContainEqual(expect.stringMatching(message))
})

test('a policy for one namespace need not say it in its names', async () => {
  const spec = (namespaces: string): string =>
    `{requests: {signerNames: [example.com/x], namespaces: {names: [${namespaces}]}}, names: {allowed: {uris: ['spiffe://td/\${pod.name}']}}}`
  expect(await messages(spec('shop'))).toEqual([])
  expect(await messages(spec('shop, bank'))).not.toEqual([])
  expect(await messages(spec("'shop-*'"))).not.toEqual([])
})

test.each([
  'kubernetes.io/kube-apiserver-client',
  'kubernetes.io/kube-apiserver-client-kubelet',
  'kubernetes.io/kube-apiserver-client-pod',
  'kubernetes.io/*',
])('a policy for %s needs a flag', async (signer) => {
  const spec = `{requests: {signerNames: ['${signer}']}}`
  expect(await messages(spec)).toContainEqual(expect.stringContaining('--allow-apiserver-signers'))
  expect(await messages(spec, true)).toEqual([])
})

test('two policies of one name are one and a problem', async () => {
  const one = `apiVersion: podpass.io/v1alpha1\nkind: CertificatePolicy\nmetadata: {name: p}\nspec: {${requests}}\n`
  const { policies, problems } = await load(`${one}---\n${one}`)
  expect(policies).toHaveLength(1)
  expect(problems).toMatchObject([{ message: 'there are two of this name' }])
})

test('the expression language is loaded only for policies with rules', async () => {
  const { documents } = readManifest({
    name: 'p',
    text: `{apiVersion: podpass.io/v1alpha1, kind: CertificatePolicy, metadata: {name: p}, spec: {${requests}}}`,
  })
  const { policies } = await loadPolicies(documents, { allowApiserverSigners: false }, () =>
    Promise.reject(new Error('loaded')),
  )
  expect(policies).toHaveLength(1)
})

test('any spec is a policy or has problems, each with its place', async () => {
  const compiler = await loadCel()
  await fc.assert(
    fc.asyncProperty(fc.jsonValue({ maxDepth: 3 }), async (spec) => {
      const text = JSON.stringify({
        apiVersion: 'podpass.io/v1alpha1',
        kind: 'CertificatePolicy',
        metadata: { name: 'p' },
        spec,
      })
      const { documents } = readManifest({ name: 'p', text })
      const { policies, problems } = await loadPolicies(documents, { allowApiserverSigners: false }, () =>
        Promise.resolve(compiler),
      )
      expect(policies.length + Math.min(problems.length, 1)).toBe(1)
      expect(problems.every(({ location }) => location.source === 'p' && location.line === 1)).toBe(true)
    }),
    { numRuns: 200 },
  )
})
