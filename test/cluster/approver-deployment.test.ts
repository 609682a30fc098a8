import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { certificateSigningRequests } from '../../src/kubernetes/resource.ts'
import { encodePrivateKey } from '../../src/x509/key.ts'
import { allowRequests, ask, csrFor, signingRequest } from './approver-requests.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { importImage } from './node.ts'
import { placePod, podsWith } from './place-pod.ts'
import { deletePod, execInPod, type Pod, runPod } from './pod.ts'
import { podWithCertificate, readPodCertificate } from './pod-certificate.ts'
import { podpassImage } from './program-image.ts'
import type { ServiceAddress } from './service-address.ts'
import { newAuthority } from './test-signer.ts'
import { until } from './until.ts'

// The manifests of deploy/approver as whoever installs them applies them: the accounts, rights, Deployments and settings that ship, in
// pods, with the tokens that the kubelet gives them.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const project = join(import.meta.dirname, '../..')
const namespace = 'deployed'
const deployments = ['podpass-approver', 'podpass-signer'] as const
const roots = { serving: newAuthority('serving'), pods: newAuthority('pods') }

const addresses: ServiceAddress[] = []
let client: KubernetesClient
let web: Pod

beforeAll(async () => {
  client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  await importImage(node, await podpassImage('docker.io/library/podpass:0.1.0'))
  for (const name of ['podpass', namespace]) await createNamespace(controlPlane, name)
  await allowRequests(controlPlane, namespace)
  // Beside the root of another test's signer, ours would be a second one, which signs only once it has been published for a while.
  for (const signer of ['example.com:serving', 'example.com:pods']) {
    await kubectl(controlPlane, ['delete', 'clustertrustbundle', `${signer}:podpass`, '--ignore-not-found'])
  }
  await apply(controlPlane, secret('serving-ca', roots.serving), secret('pods-ca', roots.pods), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 443 }] },
  })
  // In the order of their names, all at once.
  await kubectl(controlPlane, ['apply', '-f', join(project, 'deploy/approver')])
  await kubectl(controlPlane, ['wait', '--for=condition=Established', 'crd/certificatepolicies.podpass.io'])
  for (const policy of ['service-names', 'pod-certificates']) {
    await kubectl(controlPlane, ['apply', '-f', join(project, `examples/approver/${policy}.yaml`)])
  }
  for (const deployment of deployments) {
    const pods = await until(`the pods of ${deployment}`, async () => {
      const found = await podsOf(deployment)
      return found.length === 2 && found
    })
    addresses.push(...(await Promise.all(pods.map((pod) => placePod(cluster, pod)))))
  }
  web = await runPod(cluster, { namespace, name: 'web' })
})

afterAll(async () => {
  await kubectl(controlPlane, [
    'delete',
    '-f',
    join(project, 'examples/approver/service-names.yaml'),
    '--ignore-not-found',
  ])
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'pod-certificates', '--ignore-not-found'])
  for (const file of ['deployment.yaml', 'signer.yaml', 'admission.yaml']) {
    await kubectl(controlPlane, ['delete', '-f', join(project, 'deploy/approver', file), '--ignore-not-found'])
  }
  for (const address of addresses) await address.close()
  if (web) await deletePod(controlPlane, web)
  await client?.close()
})

function secret(name: string, { certificate, key }: (typeof roots)['pods']): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'podpass', name },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': certificate.pem, 'tls.key': encodePrivateKey(key, 'PKCS8'), 'ca.crt': certificate.pem },
  }
}

function podsOf(deployment: string): Promise<readonly Pod[]> {
  return podsWith(cluster, 'podpass', `app.kubernetes.io/name=${deployment}`)
}

/** The pod that leads, as its Lease says. */
async function leaderOf(deployment: string): Promise<Pod> {
  const holder = ['get', 'lease', deployment, '-n', 'podpass', '-o', 'jsonpath={.spec.holderIdentity}']
  return until(`a leader of ${deployment}`, async () => {
    const [name = ''] = (await kubectl(controlPlane, holder)).split('_')
    return (await podsOf(deployment)).find((pod) => pod.name === name)
  })
}

async function issued(name: string): Promise<X509Certificate> {
  return await until(
    `the certificate of ${name}`,
    async () => {
      const { status } = await client.get(certificateSigningRequests, { name })
      return status?.certificate === undefined
        ? undefined
        : new X509Certificate(Buffer.from(status.certificate, 'base64'))
    },
    { timeout: 90_000 },
  )
}

function askFor(name: string): Promise<void> {
  return ask(client, web, signingRequest(name, 'example.com/serving', csrFor([`web.${namespace}.svc`])))
}

test('what ships runs, approves, signs, and gives pods their certificates', async () => {
  for (const deployment of deployments) {
    const wait = ['rollout', 'status', `deployment/${deployment}`, '-n', 'podpass', '--timeout=120s']
    await kubectl(controlPlane, wait).catch(async (error: unknown) => {
      throw new Error(await state(deployment), { cause: error })
    })
  }
  await askFor('deployed-first')
  expect((await issued('deployed-first')).verify(new X509Certificate(roots.serving.certificate.pem).publicKey)).toBe(
    true,
  )
  // The admission policy counts for requests that are younger than it is.
  const path = 'jsonpath={.metadata.creationTimestamp}'
  const rule = ['get', 'validatingadmissionpolicybinding', 'podpass-pod-certificate-requests', '-o', path]
  const since = Date.parse(await kubectl(controlPlane, rule))
  await until('the rule to be older than what comes', () => Date.now() > since + 7_000)
  await apply(controlPlane, podWithCertificate(cluster, { namespace, name: 'native' }, 'example.com/pods', 'web'))
  const native = { namespace, name: 'native', uid: '' }
  await kubectl(controlPlane, ['wait', 'pod', 'native', '-n', namespace, '--for=condition=Ready', '--timeout=90s'])
  const leaf = await readPodCertificate(controlPlane, native)
  expect(leaf.verify(new X509Certificate(roots.pods.certificate.pem).publicKey)).toBe(true)
  expect(leaf.subjectAltName).toContain(`DNS:web.${namespace}.svc`)
  await deletePod(controlPlane, native)
})

test('when both leaders go, the others approve and sign', async () => {
  const leaders = await Promise.all(deployments.map((deployment) => leaderOf(deployment)))
  await Promise.all(leaders.map((leader) => deletePod(controlPlane, leader)))
  await askFor('deployed-second')
  await issued('deployed-second')
  const successors = await Promise.all(deployments.map((deployment) => leaderOf(deployment)))
  expect(successors.map(({ uid }) => uid)).not.toEqual(leaders.map(({ uid }) => uid))
})

test('nothing that they do is refused for want of rights', async () => {
  for (const deployment of deployments) {
    const { name } = await leaderOf(deployment)
    const lines = (await kubectl(controlPlane, ['logs', '-n', 'podpass', name])).split('\n')
    expect(lines.filter((line) => /"(?:deciding|leading)"/.test(line))).toHaveLength(1)
    expect(lines.filter((line) => /forbidden|cannot \w+ resource/i.test(line))).toEqual([])
  }
  await expect(execInPod(controlPlane, await leaderOf('podpass-signer'), 'touch', '/x')).rejects.toThrow('Read-only')
})

/** What is known of a Deployment's pods that do not run. */
async function state(deployment: string): Promise<string> {
  const label = ['-n', 'podpass', '-l', `app.kubernetes.io/name=${deployment}`]
  const log = await kubectl(controlPlane, ['logs', ...label, '--tail=20']).catch(String)
  return `${await kubectl(controlPlane, ['describe', 'pods', ...label])}\n${log}`
}
