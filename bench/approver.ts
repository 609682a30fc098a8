// How fast requests are approved and signed:
// node bench/approver.ts [--requests N] [--repeat N] [--sides floor,podpass,builtIn] [--json FILE]
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { CertificateSigningRequest } from '../src/kubernetes/certificates.ts'
import { KubernetesClient } from '../src/kubernetes/client.ts'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import { Reflector } from '../src/kubernetes/reflector.ts'
import { certificateSigningRequests } from '../src/kubernetes/resource.ts'
import { createCertificateRequest } from '../src/x509/certificate-request.ts'
import { noNames } from '../src/x509/general-names.ts'
import { generateKeySync } from '../src/x509/key.ts'
import { buildSubject } from '../src/x509/name.ts'
import { csrFor, podToken, signingRequest } from '../test/cluster/approver-requests.ts'
import { ControlPlane } from '../test/cluster/control-plane.ts'
import { userKubeconfig } from '../test/cluster/kubeconfig.ts'
import type { ApproverFloor } from './approver-floor.ts'
import { bootstrappers, createPod, namespace, prepare, signers, startPair } from './approver-ground.ts'
import { describeMachine } from './machine.ts'
import { PeakMemory } from './peak-memory.ts'
import { cpuTime } from './process-figures.ts'
import { median } from './statistics.ts'
import { Worker } from './worker.ts'

type Side = keyof typeof signers
const allSides = Object.keys(signers) as readonly Side[]

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000' },
    repeat: { type: 'string', default: '3' },
    sides: { type: 'string', default: allSides.join(',') },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write(
    'Usage: npm run bench:approver -- [--requests N] [--repeat N] [--sides floor,podpass,builtIn] [--json FILE]\n',
  )
  process.exit()
}
const [requests, repeat] = [Number(values.requests), Number(values.repeat)]
const sides = allSides.filter((side) => values.sides.split(',').includes(side))
const machine = await describeMachine()

await using parts = new AsyncDisposableStack()
const say = (line: string): void => console.error(line)
say('starting etcd, kube-apiserver and kube-controller-manager')
const { access } = parts.use(await ControlPlane.start({ say }))
await prepare(access)
const client = await clientOf('bench', ['system:masters'])
const kubelet = await clientOf('bench-kubelet', [bootstrappers])
const pod = await createPod(client)
const floor = await Worker.start<ApproverFloor>('approver-floor.ts')
parts.defer(() => floor.close())
await floor.call('start', await userKubeconfig(access, 'floor', ['system:masters']), signers.floor)
const { approver, signer } = await startPair(access)
parts.defer(() => approver.stop())
parts.defer(() => signer.daemon.close('SIGTERM'))
const failed = Promise.race([approver.failure(), signer.daemon.failure()])
failed.catch(() => {
  // At the end they are stopped.
})
const processes = { approver: approver.pid, signer: signer.daemon.pid }
const memories = Object.values(processes).map((pid) => parts.use(new PeakMemory(pid)))

/** What waits for the certificate of a request, by its name. */
const waiting = new Map<string, () => void>()
const reflector = new Reflector<CertificateSigningRequest, undefined>({
  client,
  resource: certificateSigningRequests,
  transform: () => undefined,
  handler: { added: tell, modified: tell },
})
parts.defer(() => reflector.close())
await reflector.synced

const times: Record<Side, number[]> = { floor: [], podpass: [], builtIn: [] }
for (let round = 0; round < repeat; round++) {
  // Each side goes first as often as the others. The built-in pair takes its time, and always the same.
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
    if (side === 'builtIn' && round > 0) continue
    const seconds = await measure(side, `${side.toLowerCase()}-${round}`)
    times[side].push(seconds)
    say(`${side}: ${requests} requests in ${seconds.toFixed(2)} s`)
  }
}
const medians = { floor: median(times.floor), podpass: median(times.podpass), builtIn: median(times.builtIn) }
const ratio = medians.podpass / medians.floor
const [approverMemory, signerMemory] = memories.map(({ peak }) => peak)
const cpu = { approver: await cpuTime(processes.approver), signer: await cpuTime(processes.signer) }
const peaks = { approver: approverMemory, signer: signerMemory }
const result = { at: new Date().toISOString(), machine, requests, seconds: times, medians, ratio, peaks, cpu }
const line = [
  `${requests} requests at once, until the last has its certificate:`,
  ...sides.map((side) => `${side} ${medians[side].toFixed(2)} s,`),
  ...(Number.isFinite(ratio) ? [`podpass / floor ${ratio.toFixed(2)};`] : []),
  `peak private memory: approver ${peaks.approver?.toFixed(0)} MiB, signer ${peaks.signer?.toFixed(0)} MiB;`,
  `CPU: approver ${cpu.approver.toFixed(1)} s, signer ${cpu.signer.toFixed(1)} s`,
]
process.stdout.write(`${line.join(' ')}\n`)
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(result, undefined, 2)}\n`)

/** @returns seconds from the first CREATE until the last certificate */
async function measure(side: Side, prefix: string): Promise<number> {
  const objects = Array.from({ length: requests }, (_, index) => requestOf(side, `${prefix}-${index}`))
  // A pod's own token, or the account of a kubelet that is new.
  const options = side === 'builtIn' ? {} : { token: await podToken(client, pod) }
  const asker = side === 'builtIn' ? kubelet : client
  const started = performance.now()
  const served = Promise.all(
    objects.map(async (object) => {
      const issued = Promise.withResolvers<void>()
      waiting.set(object.metadata.name ?? '', issued.resolve)
      await Promise.all([asker.create(certificateSigningRequests, object, options), issued.promise])
    }),
  )
  await Promise.race([served, failed])
  const seconds = (performance.now() - started) / 1000
  waiting.clear()
  await Promise.all(objects.map(({ metadata: { name = '' } }) => client.delete(certificateSigningRequests, { name })))
  return seconds
}

function requestOf(side: Side, name: string): CertificateSigningRequest {
  if (side !== 'builtIn') return signingRequest(name, signers[side], csrFor([`web.${namespace}.svc`]))
  const subject = buildSubject({ organizations: ['system:nodes'], commonName: `system:node:${name}` })
  const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
  const request = signingRequest(name, signers[side], createCertificateRequest(key, { subject, names: noNames }))
  return { ...request, spec: { ...request.spec, usages: ['digital signature', 'client auth'] } }
}

function tell({ metadata, status }: CertificateSigningRequest): void {
  if (status?.certificate !== undefined) waiting.get(metadata.name ?? '')?.()
}

async function clientOf(user: string, groups: readonly string[]): Promise<KubernetesClient> {
  const kubeconfig = await userKubeconfig(access, user, groups)
  // Requests wait for their turn in here, all of them at once, so they may take long.
  const options = { maxInFlight: 128, timeout: 600_000 }
  const connected = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }), options)
  parts.defer(() => connected.close())
  return connected
}
