import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { certificatePolicies } from '../../src/approver/live/resources.ts'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import {
  certificateRequests,
  certificateSigningRequests,
  events,
  podCertificateRequests,
} from '../../src/kubernetes/resource.ts'
import { ApproverProcess, installApprover } from './approver-process.ts'
import {
  allowRequests,
  ask,
  conditionsOf,
  csrFor,
  issuerRequest,
  podToken,
  signingRequest,
} from './approver-requests.ts'
import { CertManager, createCaIssuer } from './cert-manager.ts'
import { ControlPlane } from './control-plane.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { createPod, deletePod, type Pod } from './pod.ts'
import { podWithCertificate } from './pod-certificate.ts'
import { until } from './until.ts'

// The approver against a real API server, with the rights of its own manifests, on requests that pods make with their own tokens.

const cluster = inject('cluster')
const { controlPlane } = cluster
const namespace = 'approver-shop'
const signer = 'podpass.test/serving'
const podSigner = 'podpass.test/pods'

function policy(name: string, spec: object): object {
  const names = { allowed: { dnsNames: ['*.${namespace}.svc'] } }
  return {
    apiVersion: 'podpass.io/v1alpha1',
    kind: 'CertificatePolicy',
    metadata: { name },
    spec: { binding: 'pod', names, ...spec },
  }
}

function service(where: string, name: string, app: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: where, name },
    spec: { selector: { app }, ports: [{ port: 443 }] },
  }
}

let client: KubernetesClient
let approver: ApproverProcess
let web: Pod
let thief: Pod

beforeAll(async () => {
  client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  await installApprover(controlPlane, [signer, podSigner], [`issuers.cert-manager.io/${namespace}.ca-issuer`])
  await createNamespace(controlPlane, namespace)
  await allowRequests(controlPlane, namespace)
  await apply(
    controlPlane,
    policy('approver-serving', { requests: { signerNames: [signer] } }),
    service(namespace, 'web', 'web'),
    service(namespace, 'bank', 'bank'),
  )
  web = await createPod(cluster, { namespace, name: 'web' })
  // Behind the same Service: only the key is not its own.
  thief = await createPod(cluster, { namespace, name: 'thief', labels: { app: 'web' } })
  approver = await ApproverProcess.start(controlPlane)
  await approver.leading()
})

afterAll(async () => {
  await approver?.stop()
  await kubectl(controlPlane, ['delete', 'certificatepolicies', '--all'])
  for (const pod of [web, thief]) if (pod) await deletePod(controlPlane, pod)
  await client?.close()
})

/** What an Event says of an object, once there is one with such a reason. */
async function eventAbout(name: string, reason: string): Promise<string> {
  return await until(`an Event ${reason} about ${name}`, async () => {
    const { items } = await client.list(events, { fieldSelector: `involvedObject.name=${name},reason=${reason}` })
    return items[0]?.message
  })
}

async function condition(name: string, type: string) {
  return await until(`${name} to be ${type}`, async () =>
    (await conditionsOf(client, name)).find((one) => one.type === type),
  )
}

test('a policy of the cluster says that it is used, and a bad edit says why not and changes nothing', async () => {
  const ready = async (name: string, status: string): Promise<string> =>
    await until(`policy ${name} to be Ready=${status}`, async () => {
      const { status: all } = await client.get(certificatePolicies, { name })
      return all?.conditions?.find((one) => one.type === 'Ready' && one.status === status)?.message
    })
  expect(await ready('approver-serving', 'True')).toBe('the policy is used')
  await apply(controlPlane, policy('approver-edited', { requests: { signerNames: ['podpass.test/edited'] } }))
  await ready('approver-edited', 'True')
  const rules = [{ name: 'typo', expression: "pod.label['app'] == 'web'" }]
  await apply(controlPlane, policy('approver-edited', { requests: { signerNames: ['podpass.test/edited'] }, rules }))
  const message = await ready('approver-edited', 'False')
  expect(message).toContain('its last good version is')
  expect(message).toContain('spec.rules[0].expression')
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'approver-edited'])
})

test("a pod's request for the name of its Service is approved, and kubectl shows by which policy", async () => {
  await ask(client, web, signingRequest('approver-good', signer, csrFor([`web.${namespace}.svc`])))
  expect(await condition('approver-good', 'Approved')).toMatchObject({
    status: 'True',
    reason: 'PolicyPassed',
    message: 'policy approver-serving allows it',
  })
  expect(await kubectl(controlPlane, ['get', 'csr', 'approver-good'])).toContain('Approved')
  expect(await kubectl(controlPlane, ['get', 'certificatepolicies'])).toMatch(/approver-serving\s+pod\s+True/)
  const line = await approver.logged(
    'the decision',
    (entry) => entry.request === 'CertificateSigningRequest approver-good',
  )
  expect(line).toMatchObject({
    audit: 'podpass.io/decision',
    decision: 'approve',
    policy: 'approver-serving',
    username: `system:serviceaccount:${namespace}:default`,
    subject: { namespace, pod: 'web', podUid: web.uid },
    names: [`DNS:web.${namespace}.svc`],
  })
})

test('a name of a Service that leads elsewhere waits, the pod is told, and it is approved once the Service takes the pod', async () => {
  await ask(client, web, signingRequest('approver-waits', signer, csrFor([`bank.${namespace}.svc`])))
  expect(await eventAbout('web', 'CertificateNotYetAllowed')).toContain(`bank.${namespace}.svc`)
  expect(await conditionsOf(client, 'approver-waits')).toEqual([])
  const explained = await approver.explain('csr/approver-waits')
  expect(explained).toContain('wait (NotYetAllowed)')
  expect(explained).toContain(`DNS:bank.${namespace}.svc: it is no name of the pod`)
  await apply(controlPlane, service(namespace, 'bank', 'web'))
  await condition('approver-waits', 'Approved')
  await apply(controlPlane, service(namespace, 'bank', 'bank'))
})

test('a name of another namespace is denied, for nothing can make it right', async () => {
  await ask(client, web, signingRequest('approver-foreign', signer, csrFor(['web.kube-system.svc'])))
  const denied = await condition('approver-foreign', 'Denied')
  expect(denied.reason).toBe('PolicyForbids')
  expect(denied.message).toContain('web.kube-system.svc')
  expect(await eventAbout('web', 'CertificateDenied')).toContain('web.kube-system.svc')
})

test("a request that another pod has read and sent again waits, whether its owner's was decided or not", async () => {
  const csr = csrFor([`web.${namespace}.svc`])
  await ask(client, web, signingRequest('approver-own', signer, csr))
  await condition('approver-own', 'Approved')
  await ask(client, thief, signingRequest('approver-stolen', signer, csr))
  expect(await eventAbout('thief', 'CertificateNotYetAllowed')).toContain('the key belongs to')
  expect(await conditionsOf(client, 'approver-stolen')).toEqual([])
})

test('a request for a signer that no policy is for is left alone', async () => {
  await ask(client, web, signingRequest('approver-uncovered', 'other.test/serving', csrFor(['web.kube-system.svc'])))
  await ask(client, web, signingRequest('approver-after', signer, csrFor([`web.${namespace}.svc`])))
  await condition('approver-after', 'Approved')
  expect(await conditionsOf(client, 'approver-uncovered')).toEqual([])
  expect(approver.decisions.map(({ request }) => request)).not.toContain('CertificateSigningRequest approver-uncovered')
})

test('what kubectl approves although a policy is for it is counted, told of, and shown by /readyz', async () => {
  await ask(client, web, signingRequest('approver-by-hand', signer, csrFor([`bank.${namespace}.svc`])))
  await until('it to wait', () => approver.decisions.some(({ request = '' }) => request.endsWith('approver-by-hand')))
  expect((await approver.ask('/readyz')).status).toBe(200)
  await kubectl(controlPlane, ['certificate', 'approve', 'approver-by-hand'])
  expect(await eventAbout('approver-by-hand', 'ApprovedByOther')).toContain('KubectlApprove')
  const { status, text } = await approver.ask('/readyz')
  expect({ status, text }).toMatchObject({ status: 503, text: expect.stringContaining('approver-by-hand') as string })
  const metrics = (await approver.ask('/metrics')).text
  expect(metrics).toContain('podpass_approver_foreign_approvals_total{kind="CertificateSigningRequest"} 1')
  await client.delete(certificateSigningRequests, { name: 'approver-by-hand' })
  await until('/readyz to be well', async () => (await approver.ask('/readyz')).status === 200)
})

test('with RBAC as the binding, who may use the policy is approved', async () => {
  const spec = { requests: { signerNames: [signer] }, binding: 'none', names: { allowed: { dnsNames: ['rbac.test'] } } }
  await apply(
    controlPlane,
    policy('approver-by-rbac', { ...spec, subjects: { mayUse: true } }),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'use-approver-by-rbac' },
      rules: [
        {
          apiGroups: ['podpass.io'],
          resources: ['certificatepolicies'],
          resourceNames: ['approver-by-rbac'],
          verbs: ['use'],
        },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'use-approver-by-rbac' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'use-approver-by-rbac' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: `system:serviceaccounts:${namespace}` }],
    },
  )
  await ask(client, web, signingRequest('approver-used', signer, csrFor(['rbac.test'])))
  expect((await condition('approver-used', 'Approved')).message).toBe('policy approver-by-rbac allows it')
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'approver-by-rbac'])
})

test("a pod's own request of the kubelet is left to who signs it, and the account that approves cannot sign", async () => {
  await apply(
    controlPlane,
    policy('approver-pods', {
      names: undefined,
      requests: { kinds: ['PodCertificateRequest'], signerNames: [podSigner] },
      keys: [{ algorithm: 'Ed25519' }],
      issue: { uris: ['spiffe://podpass.test/ns/${namespace}/sa/${serviceAccount.name}'], usages: ['client auth'] },
    }),
    podWithCertificate(cluster, { namespace, name: 'native' }, podSigner),
  )
  const request = await until('the request of the kubelet', async () => {
    const { items } = await client.list(podCertificateRequests, { namespace })
    return items.find(({ spec }) => spec.podName === 'native')
  })
  await ask(client, web, signingRequest('approver-beside', signer, csrFor([`web.${namespace}.svc`])))
  await condition('approver-beside', 'Approved')
  const { name = '' } = request.metadata
  const { status } = await client.get(podCertificateRequests, { namespace, name })
  expect(status?.conditions ?? []).toEqual([])
  expect(approver.decisions.filter(({ request: of = '' }) => of.includes(name))).toEqual([])
  const as = '--as=system:serviceaccount:podpass:podpass-approver'
  for (const right of [
    ['update', 'podcertificaterequests.certificates.k8s.io', '--subresource=status'],
    ['update', 'certificatesigningrequests.certificates.k8s.io', '--subresource=status'],
    ['sign', `signers.certificates.k8s.io/${podSigner}`],
    ['approve', 'signers.certificates.k8s.io/other.test/serving'],
  ]) {
    // Its exit code is 1 where the answer is no.
    const answer = kubectl(controlPlane, ['auth', 'can-i', ...right, '-A', as])
    await expect(answer).rejects.toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^no/) as string })
  }
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'approver-pods'])
  await deletePod(controlPlane, { namespace, name: 'native' })
})

test("while cert-manager's own approver is at work, that is told", async () => {
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  const requests = { issuers: [{ name: 'ca-issuer' }] }
  await apply(controlPlane, policy('approver-issuers', { requests }))
  await until('the policy to be used', async () => {
    const { status } = await client.get(certificatePolicies, { name: 'approver-issuers' })
    return status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True')
  })
  // Names that this approver would not allow: only the other one can have approved them.
  await ask(client, web, issuerRequest(namespace, 'told', 'ca-issuer', csrFor([`bank.${namespace}.svc`])))
  expect(await eventAbout('told', 'ApprovedByOther')).toContain('switch other approvers off')
  expect((await approver.ask('/readyz')).text).toContain(`CertificateRequest ${namespace}/told`)
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'approver-issuers'])
})

test('a dry run tells what it would do, and writes nothing', async () => {
  const folder = await mkdtemp(join(controlPlane.directory, 'policies-'))
  const dry = 'dry.test/serving'
  await writeFile(join(folder, 'dry.yaml'), JSON.stringify(policy('dry', { requests: { signerNames: [dry] } })))
  await using other = await ApproverProcess.start(controlPlane, ['--dry-run', `--policy-dir=${folder}`])
  await other.leading()
  const requests = {
    'dry-good': `web.${namespace}.svc`,
    'dry-bad': 'web.kube-system.svc',
    'dry-wait': `bank.${namespace}.svc`,
  }
  for (const [name, dns] of Object.entries(requests)) await ask(client, web, signingRequest(name, dry, csrFor([dns])))
  const told = async (name: string): Promise<string | undefined> =>
    (await other.logged(`what becomes of ${name}`, ({ request = '' }) => request.endsWith(name))).decision
  expect([await told('dry-good'), await told('dry-bad'), await told('dry-wait')]).toEqual(['approve', 'deny', 'wait'])
  for (const name of Object.keys(requests)) {
    const { metadata, status } = await client.get(certificateSigningRequests, { name })
    expect({ name, conditions: status?.conditions ?? [], generation: metadata.generation }).toMatchObject({
      conditions: [],
    })
  }
  const { items } = await client.list(events, { namespace })
  expect(items.filter(({ message = '' }) => message.includes('dry-'))).toEqual([])
})

describe('with two replicas', () => {
  test('the leader is killed in the middle: no request is lost, and none is decided twice', async () => {
    await using standby = await ApproverProcess.start(controlPlane)
    await standby.logged('the standby to know who leads', ({ message }) => message === 'this one leads')
    const token = await podToken(client, web)
    const names = Array.from({ length: 400 }, (_, index) => `approver-storm-${index}`)
    const stormy = ({ request = '' }: { readonly request?: string }): boolean => request.includes('approver-storm')
    const before = approver
    const asking = Promise.all(
      names.map((name) =>
        client.create(certificateSigningRequests, signingRequest(name, signer, csrFor([`web.${namespace}.svc`])), {
          token,
        }),
      ),
    )
    await until('a part to be decided', () => before.decisions.filter(stormy).length > 100, { interval: 1 })
    await before.stop('SIGKILL')
    await asking
    const conditions = await until('all to be decided', async () => {
      const { items } = await client.list(certificateSigningRequests)
      const mine = items.filter(({ metadata }) => metadata.name?.startsWith('approver-storm'))
      const undecided = mine.filter(({ status }) => (status?.conditions ?? []).length === 0)
      return undecided.length === 0 && mine.map(({ status }) => status?.conditions ?? [])
    })
    expect(conditions).toHaveLength(names.length)
    // One condition each: a second decision would have put another beside it, or had it refused.
    for (const list of conditions) {
      expect(list).toMatchObject([{ type: 'Approved', status: 'True', reason: 'PolicyPassed' }])
    }
    const [first, second] = [before, standby].map(({ decisions }) =>
      decisions.filter(stormy).map(({ request }) => request),
    )
    const told = [...(first ?? []), ...(second ?? [])]
    expect(new Set(told).size).toBe(told.length)
    // What was written as it was killed may have been told by neither.
    expect(told.length).toBeGreaterThan(names.length - 65)
    expect(second?.length).toBeGreaterThan(0)
    expect(standby.isLeading).toBe(true)
    await Promise.all(names.map((name) => client.delete(certificateSigningRequests, { name })))
    approver = await ApproverProcess.start(controlPlane)
  })
})

describe("with cert-manager's approver off", () => {
  test('a CertificateRequest is approved by policy, with the rights that its webhook asks for', async () => {
    await using plane = await ControlPlane.start()
    await using certManager = await CertManager.start(plane.access, () => {})
    await createNamespace(plane.access, namespace)
    await createCaIssuer(plane.access, namespace, 'ca-issuer')
    await certManager.stopController()
    await installApprover(plane.access, [signer], [`issuers.cert-manager.io/${namespace}.ca-issuer`])
    await allowRequests(plane.access, namespace)
    await using parts = new AsyncDisposableStack()
    const own = new KubernetesClient(await loadKubeconfig({ path: plane.access.adminKubeconfig }))
    parts.defer(() => own.close())
    await apply(
      plane.access,
      policy('issuers', { requests: { issuers: [{ name: 'ca-issuer' }, { name: 'without-right' }] } }),
      service(namespace, 'web', 'web'),
      { apiVersion: 'v1', kind: 'Node', metadata: { name: 'nowhere' } },
    )
    const pod = await createPod(
      { controlPlane: plane.access, node: { ...cluster.node, name: 'nowhere' } },
      { namespace, name: 'web' },
    )
    await using alone = await ApproverProcess.start(plane.access)
    await alone.leading()
    await ask(own, pod, issuerRequest(namespace, 'good', 'ca-issuer', csrFor([`web.${namespace}.svc`])))
    await ask(own, pod, issuerRequest(namespace, 'bad', 'ca-issuer', csrFor(['web.kube-system.svc'])))
    const decision = async (name: string, type: string) =>
      await until(`${name} to be ${type}`, async () => {
        const { status } = await own.get(certificateRequests, { namespace, name })
        return status?.conditions?.find((one) => one.type === type)
      })
    expect(await decision('good', 'Approved')).toMatchObject({ status: 'True', reason: 'PolicyPassed' })
    expect(await decision('bad', 'Denied')).toMatchObject({ status: 'True', reason: 'PolicyForbids' })
    await ask(own, pod, issuerRequest(namespace, 'refused', 'without-right', csrFor([`web.${namespace}.svc`])))
    await until('/readyz to say which right is missing', async () => {
      const { text } = await alone.ask('/readyz')
      return text.includes(`${namespace}/refused`) && text.includes('does not have permissions')
    })
  })
})
