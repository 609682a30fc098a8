// How fast the approver decides: node bench/approver.ts [--requests N] [--repeat N] [--json FILE]
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { KubernetesClient } from '../src/kubernetes/client.ts'
import type { CertificateSigningRequest } from '../src/kubernetes/certificates.ts'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import { Reflector } from '../src/kubernetes/reflector.ts'
import { certificateSigningRequests, pods } from '../src/kubernetes/resource.ts'
import { ApproverProcess, installApprover } from '../test/cluster/approver-process.ts'
import { allowRequests, csrFor, podToken, signingRequest } from '../test/cluster/approver-requests.ts'
import { ControlPlane } from '../test/cluster/control-plane.ts'
import { userKubeconfig } from '../test/cluster/kubeconfig.ts'
import { apply } from '../test/cluster/kubectl.ts'
import { createNamespace } from '../test/cluster/namespace.ts'
import type { Pod } from '../test/cluster/pod.ts'
import type { ApproverFloor } from './approver-floor.ts'
import { describeMachine } from './machine.ts'
import { median } from './statistics.ts'
import { Worker } from './worker.ts'

const namespace = 'bench'
const signers = { floor: 'bench.test/floor', approver: 'bench.test/approver' } as const
type Side = keyof typeof signers
const sides: readonly Side[] = ['floor', 'approver']

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000' },
    repeat: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
})
const [requests, repeat] = [Number(values.requests), Number(values.repeat)]
const machine = await describeMachine()

await using parts = new AsyncDisposableStack()
const say = (line: string): void => console.error(line)
say('starting etcd and kube-apiserver')
const { access } = parts.use(await ControlPlane.start({ say }))
await installApprover(access, Object.values(signers))
await createNamespace(access, namespace)
await allowRequests(access, namespace)
await apply(
  access,
  {
    apiVersion: 'podpass.io/v1alpha1',
    kind: 'CertificatePolicy',
    metadata: { name: 'bench' },
    spec: {
      requests: { signerNames: [signers.approver] },
      binding: 'pod',
      names: { allowed: { dnsNames: ['*.${namespace}.svc'] } },
      duration: { max: '24h' },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 443 }] },
  },
)
const kubeconfig = await userKubeconfig(access, 'bench', ['system:masters'])
const client = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }), { maxInFlight: 128 })
parts.defer(() => client.close())
const pod = await createPod()
const floor = await Worker.start<ApproverFloor>('approver-floor.ts')
parts.defer(() => floor.close())
await floor.call('start', kubeconfig, signers.floor)
const approver = await ApproverProcess.start(access)
parts.defer(() => approver.stop())
await approver.leading()

/** What waits for the approval of a request, by its name. */
const waiting = new Map<string, () => void>()
const reflector = new Reflector<CertificateSigningRequest, undefined>({
  client,
  resource: certificateSigningRequests,
  transform: () => undefined,
  handler: { added: tell, modified: tell },
})
parts.defer(() => reflector.close())
await reflector.synced

const times: Record<Side, number[]> = { floor: [], approver: [] }
for (let round = 0; round < repeat; round++) {
  // Each side goes first as often as the other.
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
    const seconds = await measure(side, `${side}-${round}`)
    times[side].push(seconds)
    say(`${side}: ${requests} requests in ${seconds.toFixed(2)} s`)
  }
}
const result = {
  at: new Date().toISOString(),
  machine,
  requests,
  seconds: times,
  medians: { floor: median(times.floor), approver: median(times.approver) },
  ratio: median(times.approver) / median(times.floor),
}
process.stdout.write(
  `${requests} requests at once, until the last is approved: floor ${result.medians.floor.toFixed(2)} s, ` +
    `approver ${result.medians.approver.toFixed(2)} s, ratio ${result.ratio.toFixed(2)}\n`,
)
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(result, undefined, 2)}\n`)

/** @returns seconds from the first CREATE until the last approval */
async function measure(side: Side, prefix: string): Promise<number> {
  const names = Array.from({ length: requests }, (_, index) => `${prefix}-${index}`)
  const objects = names.map((name) => signingRequest(name, signers[side], csrFor([`web.${namespace}.svc`])))
  const token = await podToken(client, pod)
  const started = performance.now()
  await Promise.all(
    objects.map(async (object, index) => {
      const approved = Promise.withResolvers<void>()
      waiting.set(names[index] ?? '', approved.resolve)
      await Promise.all([client.create(certificateSigningRequests, object, { token }), approved.promise])
    }),
  )
  const seconds = (performance.now() - started) / 1000
  waiting.clear()
  await Promise.all(names.map((name) => client.delete(certificateSigningRequests, { name })))
  return seconds
}

function tell({ metadata, status }: CertificateSigningRequest): void {
  if (status?.conditions?.some(({ type }) => type === 'Approved')) waiting.get(metadata.name ?? '')?.()
}

/** A pod that is never scheduled: requests are made with its token. */
async function createPod(): Promise<Pod> {
  const container = { name: 'main', image: 'none.test/none:1', imagePullPolicy: 'Never' }
  const labels = { app: 'web' }
  const spec = { containers: [container] } as object
  const { metadata } = await client.create(pods, { metadata: { namespace, name: 'web', labels }, spec })
  return { namespace, name: 'web', uid: metadata.uid ?? '' }
}
