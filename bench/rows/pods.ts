import type { Pod } from '../../src/kubernetes/object.ts'
import { Reflector } from '../../src/kubernetes/reflector.ts'
import { pods } from '../../src/kubernetes/resource.ts'
import type { ClusterAccess } from '../../test/cluster/cluster.ts'
import { DriverProcess, driverName } from '../../test/cluster/driver-process.ts'
import { baseImage } from '../../test/cluster/image.ts'
import { Node } from '../../test/cluster/node.ts'
import { checkPrerequisites } from '../../test/cluster/prerequisites.ts'
import { figure } from '../figure.ts'
import type { Ground } from '../ground.ts'
import { poolPause, untilQuiet } from '../process-figures.ts'
import type { KeyAlgorithm } from '../requester.ts'
import type { Row } from '../row.ts'

const usualRepeat = 5
const count = 60
const label = 'podpass-bench/round'
const namespace = 'bench'

const kinds = ['none', 'ECDSA', 'RSA'] as const
type Kind = (typeof kinds)[number]

export const podsOnNode: Row = {
  name: 'pods',
  summary: `${count} pods at once on a real kubelet, with RSA volumes, with P-256 volumes and without any`,
  isDefault: false,
  async run(ground, { repeat = usualRepeat, say }) {
    await using parts = new AsyncDisposableStack()
    say('starting a kubelet')
    const node = parts.adopt(await Node.start(ground.controlPlane, await checkPrerequisites()), (node) => node.close())
    const cluster: ClusterAccess = { controlPlane: ground.controlPlane, node: node.access }
    const driver = parts.adopt(await DriverProcess.start(cluster, ['--log-level=info']), (driver) => driver.stop())
    const times: Readonly<Record<Kind, number[]>> = { none: [], ECDSA: [], RSA: [] }
    // The first round, which does not count, fills caches of images and code.
    for (let round = 0; round <= repeat; round++) {
      for (let turn = 0; turn < kinds.length; turn++) {
        // It makes the keys anew that the last pods took.
        await untilQuiet(driver.pid, poolPause)
        const kind = kinds[(round + turn) % kinds.length] ?? 'none'
        const time = await runPods(ground, node.access.name, kind, `${round}-${turn}`)
        if (round > 0) times[kind].push(time)
        say(`round ${round} of ${repeat}, ${kind}: ${(time / 1000).toFixed(1)} s`)
      }
    }
    const title = `${count} pods at once on a kubelet`
    const within = (share: number) => ({
      text: `≤ floor + ${share} %`,
      reached: (value: number, floor: number) => value <= floor * (1 + share / 100),
    })
    const floor = times.none
    return [
      figure({ title: `${title}, P-256 volumes`, unit: 'ms', samples: times.ECDSA, floor, target: within(3) }),
      figure({ title: `${title}, RSA-2048 volumes`, unit: 'ms', samples: times.RSA, floor, target: within(15) }),
    ]
  },
}

/** Creates pods and deletes them again. @returns milliseconds from the first CREATE until the last was Ready */
async function runPods(ground: Ground, node: string, kind: Kind, round: string): Promise<number> {
  const [ready, allReady] = [new Set<string>(), Promise.withResolvers<void>()]
  const gone = Promise.withResolvers<void>()
  let left = count
  const tell = ({ metadata, status }: Pod): void => {
    const isReady = status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
    if (isReady === true) ready.add(metadata.uid ?? '')
    if (ready.size === count) allReady.resolve()
  }
  const deleted = (): void => {
    left--
    if (left === 0) gone.resolve()
  }
  const reflector = new Reflector({
    client: ground.admin,
    resource: pods,
    labelSelector: `${label}=${round}`,
    transform: () => undefined,
    handler: { added: tell, modified: tell, deleted },
  })
  try {
    await reflector.synced
    const names = Array.from({ length: count }, (_, index) => `run-${round}-${index}`)
    const started = performance.now()
    await Promise.all(names.map((name) => ground.admin.create(pods, podOf(name, node, kind, round))))
    await allReady.promise
    const time = performance.now() - started
    await Promise.all(names.map((name) => ground.admin.delete(pods, { namespace, name })))
    await gone.promise
    return time
  } finally {
    await reflector.close()
  }
}

function podOf(name: string, node: string, kind: Kind, round: string): Pod {
  const attributes = (algorithm: KeyAlgorithm) => ({
    'csi.cert-manager.io/issuer-name': 'bench',
    'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
    'csi.cert-manager.io/key-algorithm': algorithm,
  })
  const mounts = kind === 'none' ? [] : [{ name: 'tls', mountPath: '/tls' }]
  const volumes =
    kind === 'none' ? [] : [{ name: 'tls', csi: { driver: driverName, volumeAttributes: attributes(kind) } }]
  const container = { name: 'main', image: baseImage.name, imagePullPolicy: 'Never', volumeMounts: mounts }
  const spec = { nodeName: node, terminationGracePeriodSeconds: 1, containers: [container], volumes }
  return { metadata: { namespace, name, labels: { [label]: round } }, spec }
}
