import type { MessageInitShape } from '@bufbuild/protobuf'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Driver, type DriverOptions, startDriver } from '../../src/driver/driver.ts'
import { Identity, Node, type NodePublishVolumeRequestSchema } from '../../src/gen/csi/v1/csi_pb.ts'
import type { PodReference } from '../../src/issuer/issuer.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import { optionsIn } from './driver-options.ts'
import { ScriptedIssuer } from './scripted-issuer.ts'
import { until } from './until.ts'

/** An event that the driver wanted people to see. */
export interface RecordedEvent {
  readonly pod: string
  readonly type: string
  readonly reason: string
  readonly message: string
}

/** A volume as a test asks for it. */
export interface TestVolume {
  readonly id: string
  readonly target: string
  readonly podFolder: string
  readonly context: Readonly<Record<string, string>>
  /** What a Secret behind nodePublishSecretRef holds. */
  readonly secrets?: Readonly<Record<string, string>>
  /** What the kubelet asks of the mount, such as an SELinux context. */
  readonly mountFlags?: readonly string[]
}

/** The NodePublishVolume call that a kubelet makes for a volume. */
export function publishCall(volume: TestVolume): MessageInitShape<typeof NodePublishVolumeRequestSchema> {
  const { mountFlags = [] } = volume
  return {
    volumeId: volume.id,
    targetPath: volume.target,
    volumeCapability: {
      accessType: { case: 'mount', value: { mountFlags: [...mountFlags] } },
      accessMode: { mode: 1 },
    },
    volumeContext: volume.context,
    secrets: { ...volume.secrets },
    readonly: true,
  }
}

/**
 * A volume of a new pod, in P-256 because that is made at once. Its ids are the same in each run, so that what is spread by them is, too.
 *
 * @param podsFolder - that of the kubelet
 * @param number - of the pod
 */
export function newVolume(
  podsFolder: string,
  number: number,
  attributes: Readonly<Record<string, string>> = {},
): TestVolume {
  const uid = createHash('sha256').update(`pod ${number}`).digest('hex').slice(0, 32)
  const podFolder = join(podsFolder, uid)
  return {
    id: `csi-${createHash('sha256').update(`${uid}tls`).digest('hex')}`,
    target: join(podFolder, 'volumes', 'kubernetes.io~csi', 'tls', 'mount'),
    podFolder,
    context: {
      'csi.storage.k8s.io/ephemeral': 'true',
      'csi.storage.k8s.io/pod.name': `pod-${number}`,
      'csi.storage.k8s.io/pod.namespace': 'sandbox',
      'csi.storage.k8s.io/pod.uid': uid,
      'csi.storage.k8s.io/serviceAccount.name': 'default',
      'csi.cert-manager.io/issuer-name': 'ca-issuer',
      'csi.cert-manager.io/key-algorithm': 'ECDSA',
      'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
      ...attributes,
    },
  }
}

/** A folder in memory, where volumes are on a node too, or where the machine has none, one on its disk. */
function newFolder(): Promise<string> {
  return mkdtemp('/dev/shm/podpass-').catch(() => mkdtemp(join(tmpdir(), 'podpass-')))
}

/** A driver on a socket of its own, with a kubelet's folders, a scripted issuer, and no mounts. */
export class TestNode {
  readonly folder: string
  readonly issuer: ScriptedIssuer
  readonly events: RecordedEvent[] = []
  readonly #options: Partial<DriverOptions>
  #driver: Driver | undefined
  #client: UnixClient | undefined
  #endpoint = ''
  #pods = 0

  private constructor(folder: string, options: Partial<DriverOptions>) {
    this.folder = folder
    this.#options = options
    this.issuer = new ScriptedIssuer({ clock: options.clock ?? systemClock })
  }

  /** @param options - that differ from what a node has; another issuer takes the place of {@link issuer} */
  static async start(options: Partial<DriverOptions> = {}): Promise<TestNode> {
    const node = new TestNode(await newFolder(), options)
    await node.startDriver()
    return node
  }

  get driver(): Driver {
    if (this.#driver === undefined) throw new Error('the driver is not running')
    return this.#driver
  }

  get volumesFolder(): string {
    return join(this.folder, 'data', 'volumes')
  }

  async startDriver(changes: Partial<DriverOptions> = {}): Promise<void> {
    const options: DriverOptions = {
      ...optionsIn(this.folder),
      issuerFor: () => this.issuer,
      events: {
        record: (pod: PodReference, type, reason, message) => {
          this.events.push({ pod: pod.name, type, reason, message })
        },
      },
      ...this.#options,
      ...changes,
    }
    this.#driver = await startDriver(options, AbortSignal.timeout(10_000))
    this.#endpoint = options.endpoint
    this.reconnect()
  }

  /** Takes a new connection to the driver, as a kubelet does for each call. */
  reconnect(): void {
    this.#client?.close()
    this.#client = new UnixClient(this.#endpoint)
  }

  async stopDriver(): Promise<void> {
    this.#client?.close()
    await this.#driver?.close()
    this.#driver = undefined
  }

  /** A volume of a new pod. */
  async volume(attributes: Readonly<Record<string, string>> = {}): Promise<TestVolume> {
    const volume = newVolume(join(this.folder, 'pods'), this.#pods++, attributes)
    await mkdir(dirname(volume.target), { recursive: true })
    return volume
  }

  /** @param timeout - milliseconds that the caller waits */
  async publish(volume: TestVolume, timeout?: number): Promise<void> {
    await this.#connected().call(Node.method.nodePublishVolume, publishCall(volume), timeout)
  }

  /** Whether the driver says that it is well. */
  async probe(): Promise<boolean> {
    return (await this.#connected().call(Identity.method.probe, {})).ready !== false
  }

  async unpublish(volume: Pick<TestVolume, 'id' | 'target'>): Promise<void> {
    await this.#connected().call(Node.method.nodeUnpublishVolume, { volumeId: volume.id, targetPath: volume.target })
  }

  async read(volume: TestVolume, file: string): Promise<string> {
    return readFile(join(volume.target, file), 'utf8')
  }

  /** The serial number of the certificate that a pod sees. */
  async serial(volume: TestVolume): Promise<string> {
    return new X509Certificate(await this.read(volume, 'tls.crt')).serialNumber
  }

  /** Waits until a pod sees another certificate than the one with the serial number `before`, and the renewal is over. */
  async renewed(volume: TestVolume, before: string): Promise<void> {
    const isOver = (): boolean =>
      this.driver.inspect().find(({ volumeId }) => volumeId === volume.id)?.state === 'issued'
    await until('it is renewed', async () => isOver() && (await this.serial(volume)) !== before)
  }

  /** All that is stored of all volumes, which may change meanwhile, as one text. */
  async stored(): Promise<string> {
    const entries = await readdir(this.volumesFolder, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile())
    const read = files.map((file) => readFile(join(file.parentPath, file.name), 'utf8').catch(() => ''))
    return (await Promise.all(read)).join('\n')
  }

  /** The driver's metrics in Prometheus' text form. */
  metrics(): Promise<string> {
    return this.driver.metrics.registry.metrics()
  }

  /** The events of one reason. */
  told(reason: string): RecordedEvent[] {
    return this.events.filter((event) => event.reason === reason)
  }

  async close(): Promise<void> {
    await this.stopDriver()
    await rm(this.folder, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #connected(): UnixClient {
    if (this.#client === undefined) throw new Error('the driver is not running')
    return this.#client
  }
}
