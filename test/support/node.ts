import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Driver, type DriverOptions, driverDefaults, startDriver } from '../../src/driver/driver.ts'
import { Node } from '../../src/gen/csi/v1/csi_pb.ts'
import type { PodReference } from '../../src/issuer/issuer.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { privateDirectory } from '../../src/volume/private-directory.ts'
import { standardDefaults } from '../../src/volume/spec.ts'

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
}

/** A driver on a socket of its own, with a kubelet's folders, and no mounts. */
export class TestNode {
  readonly folder: string
  readonly events: RecordedEvent[] = []
  readonly #options: Partial<DriverOptions>
  #driver: Driver | undefined
  #client: UnixClient | undefined
  #pods = 0

  private constructor(folder: string, options: Partial<DriverOptions>) {
    this.folder = folder
    this.#options = options
  }

  static async start(options: Partial<DriverOptions> & Pick<DriverOptions, 'issuerFor'>): Promise<TestNode> {
    const node = new TestNode(await mkdtemp(join(tmpdir(), 'podpass-')), options)
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
    const options: Partial<DriverOptions> = { ...this.#options, ...changes }
    this.#driver = await startDriver(
      {
        ...driverDefaults,
        nodeId: 'node-1',
        version: '0.0.0',
        endpoint: join(this.folder, 'csi.sock'),
        dataRoot: join(this.folder, 'data'),
        registrationDirectory: undefined,
        defaults: standardDefaults,
        keyPool: 0,
        strictIssuer: false,
        requireNoswap: false,
        issuerFor: () => {
          throw new Error('no issuer')
        },
        mounter: privateDirectory,
        events: {
          record: (pod: PodReference, type, reason, message) => {
            this.events.push({ pod: pod.name, type, reason, message })
          },
        },
        obstacle: () => undefined,
        tokensInSecrets: () => false,
        libc: undefined,
        clock: systemClock,
        log: silentLog,
        onFatal: () => {},
        ...options,
      },
      AbortSignal.timeout(10_000),
    )
    this.#client = new UnixClient(join(this.folder, 'csi.sock'))
  }

  async stopDriver(): Promise<void> {
    this.#client?.close()
    await this.#driver?.close()
    this.#driver = undefined
  }

  /** A volume of a new pod, in P-256 because that is made at once. */
  async volume(attributes: Readonly<Record<string, string>> = {}): Promise<TestVolume> {
    const uid = randomBytes(16).toString('hex')
    const name = `pod-${this.#pods++}`
    const podFolder = join(this.folder, 'pods', uid)
    const target = join(podFolder, 'volumes', 'kubernetes.io~csi', 'tls', 'mount')
    await mkdir(join(target, '..'), { recursive: true })
    return {
      id: `csi-${createHash('sha256').update(`${uid}tls`).digest('hex')}`,
      target,
      podFolder,
      context: {
        'csi.storage.k8s.io/ephemeral': 'true',
        'csi.storage.k8s.io/pod.name': name,
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

  async publish(volume: TestVolume, timeout?: number): Promise<void> {
    await this.#connected().call(
      Node.method.nodePublishVolume,
      {
        volumeId: volume.id,
        targetPath: volume.target,
        volumeCapability: { accessType: { case: 'mount', value: {} }, accessMode: { mode: 1 } },
        volumeContext: volume.context,
        secrets: { ...volume.secrets },
        readonly: true,
      },
      timeout,
    )
  }

  async unpublish(volume: Pick<TestVolume, 'id' | 'target'>): Promise<void> {
    await this.#connected().call(Node.method.nodeUnpublishVolume, { volumeId: volume.id, targetPath: volume.target })
  }

  async read(volume: TestVolume, file: string): Promise<string> {
    return readFile(join(volume.target, file), 'utf8')
  }

  async close(): Promise<void> {
    await this.stopDriver()
    await rm(this.folder, { recursive: true, force: true })
  }

  #connected(): UnixClient {
    if (this.#client === undefined) throw new Error('the driver is not running')
    return this.#client
  }
}
