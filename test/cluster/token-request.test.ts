import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { userKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { readMountedCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode } from './node.ts'
import { createPod, deletePod, runPod, volumeIdOf } from './pod.ts'
import { until } from './until.ts'

// Requests in the pod's own name: the kubelet hands the driver a token of the pod's service account, whose rights then decide.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const [allowed, denied] = ['tokens-allowed', 'tokens-denied']
const attributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}
const volumes = { tls: { driver: driverName, attributes } }

let driver: DriverProcess

beforeAll(async () => {
  for (const namespace of [allowed, denied]) {
    await createNamespace(controlPlane, namespace)
    await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  }
  await apply(
    controlPlane,
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { namespace: allowed, name: 'create-requests' },
      rules: [{ apiGroups: ['cert-manager.io'], resources: ['certificaterequests'], verbs: ['create'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { namespace: allowed, name: 'create-requests' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'create-requests' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: allowed }],
    },
  )
  await installDriver(controlPlane)
  driver = await DriverProcess.start(cluster, ['--use-token-request'])
})

afterAll(async () => {
  await driver?.stop()
  await patchCsiDriver({ tokenRequests: null, requiresRepublish: null, serviceAccountTokenInSecrets: null })
})

async function patchCsiDriver(spec: object): Promise<void> {
  await kubectl(controlPlane, ['patch', 'csidriver', driverName, '--type=merge', '-p', JSON.stringify({ spec })])
}

function eventsOf(namespace: string, pod: string): Promise<string> {
  const selector = `involvedObject.name=${pod}`
  return kubectl(controlPlane, [
    'get',
    'events',
    '-n',
    namespace,
    '--field-selector',
    selector,
    '-o',
    'jsonpath={.items[*].message}',
  ])
}

test('a CSIDriver object that asks for no tokens is told, and once it does pods get their certificates', async () => {
  const pod = await createPod(cluster, { namespace: allowed, name: 'waiting', volumes })
  await until('the kubelet to say what to change', async () =>
    (await eventsOf(allowed, 'waiting')).includes('tokenRequests: [{audience: ""}] and requiresRepublish: true'),
  )
  await patchCsiDriver({
    tokenRequests: [{ audience: '', expirationSeconds: 3600 }],
    requiresRepublish: true,
    serviceAccountTokenInSecrets: true,
  })
  await kubectl(controlPlane, ['wait', 'pod', 'waiting', '-n', allowed, '--for=condition=Ready', '--timeout=150s'])
  const { leaf, key } = await readMountedCertificate(controlPlane, pod, '/tls')
  expect(leaf.checkPrivateKey(key)).toBe(true)
  await deletePod(controlPlane, pod)
})

test("a request is made by the pod's service account, with a token from CSI secrets, and no token is left anywhere", async () => {
  const pod = await runPod(cluster, { namespace: allowed, name: 'in-its-name', volumes })
  const { leaf } = await readMountedCertificate(controlPlane, pod, '/tls')
  expect(leaf.subjectAltName).toBe(`DNS:in-its-name.${allowed}.svc.cluster.local`)
  const usernames = await kubectl(controlPlane, [
    'get',
    'certificaterequests',
    `--namespace=${allowed}`,
    '--output=jsonpath={.items[*].spec.username}',
  ])
  expect(new Set(usernames.trim().split(' '))).toEqual(new Set([`system:serviceaccount:${allowed}:default`]))
  // Every token of a service account is a JWT, whose header begins with this in base64.
  const search = ['grep', '-rlF', '-D', 'skip', 'eyJhbGciOi', driverPaths.dataRoot] as const
  await expect(execOnNode(node, ...search)).rejects.toMatchObject({ exitCode: 1 })
  expect(JSON.stringify(driver.log)).not.toContain('eyJhbGciOi')
  const everything = await kubectl(controlPlane, ['get', 'events,certificaterequests', '-n', allowed, '-o', 'yaml'])
  expect(everything).not.toContain('eyJhbGciOi')
  await deletePod(controlPlane, pod)
})

test('a service account without the right makes no request, and its pod is told why', async () => {
  const pod = await createPod(cluster, { namespace: denied, name: 'without-right', volumes })
  await until('the refusal to be told', async () =>
    (await eventsOf(denied, 'without-right')).includes(`check the rights of service account ${denied}/default`),
  )
  const requests = await kubectl(controlPlane, ['get', 'certificaterequests', '-n', denied, '-o', 'name'])
  expect(requests.trim()).toBe('')
  await deletePod(controlPlane, pod)
})

describe('under a kubeconfig with a client certificate, which the API server would ask for before any token', () => {
  const user = 'podpass-driver-by-certificate'

  beforeAll(async () => {
    await apply(controlPlane, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: user },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'podpass-driver' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    })
    await driver.stop()
    driver = await DriverProcess.start(cluster, ['--use-token-request'], await userKubeconfig(controlPlane, user))
  })

  afterAll(() => kubectl(controlPlane, ['delete', 'clusterrolebinding', user]))

  test("a request is made by the pod's service account, and everything else by the user of the certificate", async () => {
    const pod = await runPod(cluster, { namespace: allowed, name: 'not-by-certificate', volumes })
    const { leaf, key } = await readMountedCertificate(controlPlane, pod, '/tls')
    expect(leaf.checkPrivateKey(key)).toBe(true)
    const fields = '{range .items[*]}{.metadata.ownerReferences[0].name} {.spec.username}{"\\n"}{end}'
    const listed = ['get', 'certificaterequests', '-n', allowed, '-o', `jsonpath=${fields}`]
    expect((await kubectl(controlPlane, listed)).trim().split('\n')).toEqual([
      `not-by-certificate system:serviceaccount:${allowed}:default`,
    ])
    // The superseded request is deleted, for which the service account of the pod has no right.
    await driver.ask('renew', volumeIdOf(pod, 'tls'))
    await until('the renewed certificate', async () => {
      const now = await readMountedCertificate(controlPlane, pod, '/tls')
      return now.leaf.serialNumber !== leaf.serialNumber
    })
    await until('one request', async () => (await kubectl(controlPlane, listed)).trim().split('\n').length === 1)
    await deletePod(controlPlane, pod)
  })

  test('a service account without the right makes no request, although the user of the certificate has it', async () => {
    const pod = await createPod(cluster, { namespace: denied, name: 'right-of-another', volumes })
    await until('the refusal to be told', async () =>
      (await eventsOf(denied, 'right-of-another')).includes(`check the rights of service account ${denied}/default`),
    )
    expect((await kubectl(controlPlane, ['get', 'certificaterequests', '-n', denied, '-o', 'name'])).trim()).toBe('')
    await deletePod(controlPlane, pod)
  })
})
