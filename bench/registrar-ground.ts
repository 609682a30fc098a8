import { KubernetesClient } from '../src/kubernetes/client.ts'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import { nodes, pods, type Resource } from '../src/kubernetes/resource.ts'
import { ControlPlane, type ControlPlaneAccess } from '../test/cluster/control-plane.ts'
import { formerRegistrarNamespace } from '../test/cluster/former-registrar.ts'
import { serviceAccountKubeconfig, userKubeconfig } from '../test/cluster/kubeconfig.ts'
import { installRegistrar } from '../test/cluster/registrar-process.ts'
import { until } from '../test/cluster/until.ts'
import { copyProgram } from './driver.ts'
import { countEntries, insertForeignEntries } from './entry-table.ts'
import { BenchRegistrar } from './registrar-process.ts'
import { BenchServer } from './spire-server.ts'

/** A cluster of this size: nodes, namespaces, and pods that are there all the time. */
export const [nodeCount, namespaceCount, podCount] = [50, 55, 5500]
/** What the registrar makes of it: an alias for each node and an entry for each pod. */
export const ownCount = nodeCount + podCount

export interface RegistrarGroundOptions {
  /** The folder of the bundles. */
  readonly dist: string
  /** Of Node, for the registrar. */
  readonly nodeFlags: readonly string[]
  /** Takes a line about what takes long. */
  readonly say: (line: string) => void
}

/** A pod by its number: namespaces and nodes take turns. */
export interface BenchPod {
  readonly namespace: string
  readonly name: string
  readonly nodeName: string
}

/** @param name - the beginning of the pod's name */
export function benchPod(name: string, number: number): BenchPod {
  const namespace = `team-${number % namespaceCount}`
  return { namespace, name: `${name}-${number}`, nodeName: nodeName(number % nodeCount) }
}

/** The name that the pods which are there all the time begin with. */
export const resident = 'web'
/** The account that all pods have, in their namespaces. */
export const account = 'app'

/** A server that holds the whole cluster's entries, and the registrar that has made them. */
export interface Scene {
  readonly server: BenchServer
  readonly registrar: BenchRegistrar
}

/** All that the measurements stand on: a real API server with nodes and pods as objects, and SPIRE servers. No kubelet runs. */
export class RegistrarGround {
  readonly controlPlane: ControlPlaneAccess
  readonly #client: KubernetesClient
  readonly #kubeconfig: string
  readonly #program: string
  readonly #options: RegistrarGroundOptions
  readonly #parts: AsyncDisposableStack
  #scene: { readonly foreign: number; readonly scene: Scene; readonly parts: AsyncDisposableStack } | undefined

  private constructor(
    controlPlane: ControlPlaneAccess,
    client: KubernetesClient,
    kubeconfig: string,
    program: string,
    options: RegistrarGroundOptions,
    parts: AsyncDisposableStack,
  ) {
    this.controlPlane = controlPlane
    this.#client = client
    this.#kubeconfig = kubeconfig
    this.#program = program
    this.#options = options
    this.#parts = parts
  }

  static async start(options: RegistrarGroundOptions): Promise<RegistrarGround> {
    const { say, dist } = options
    await using parts = new AsyncDisposableStack()
    say('starting etcd and kube-apiserver')
    const controlPlane = parts.use(await ControlPlane.start({ say })).access
    await installRegistrar(controlPlane)
    const masters = await userKubeconfig(controlPlane, 'bench', ['system:masters'])
    const client = new KubernetesClient(await loadKubeconfig({ path: masters }), { timeout: 300_000 })
    parts.defer(() => client.close())
    const { kubeconfig } = await serviceAccountKubeconfig(controlPlane, {
      namespace: formerRegistrarNamespace,
      name: 'podpass-registrar',
    })
    const program = await copyProgram(dist, controlPlane.directory)
    const ground = new RegistrarGround(controlPlane, client, kubeconfig, program, options, parts.move())
    try {
      say(`creating ${nodeCount} nodes and ${podCount} pods`)
      await ground.#populate()
    } catch (error) {
      await ground.close()
      throw error
    }
    return ground
  }

  /** Ends everything, the last started first. */
  async close(): Promise<void> {
    await this.closeScene()
    await this.#parts.disposeAsync()
  }

  /** @param server - whose administrator it becomes, over its socket */
  async startRegistrar({ server }: BenchServer): Promise<BenchRegistrar> {
    return await BenchRegistrar.start({
      program: this.#program,
      nodeFlags: this.#options.nodeFlags,
      directory: this.controlPlane.directory,
      kubeconfig: this.#kubeconfig,
      configuration: `${registrarConfiguration(server.socket)}\nleader_election = true\n`,
      namespace: formerRegistrarNamespace,
    })
  }

  /**
   * A server with the whole cluster's entries and those of others, and the registrar at rest beside it. The same as before where that
   * is what it has.
   */
  async scene(foreign: number): Promise<Scene> {
    if (this.#scene?.foreign === foreign) return this.#scene.scene
    await this.closeScene()
    this.#options.say(`setting up a server with ${ownCount} own and ${foreign} foreign entries`)
    await using parts = new AsyncDisposableStack()
    const server = parts.use(await BenchServer.start())
    const { database } = server.server
    let registrar = await this.startRegistrar(server)
    await registrar.settled(ownCount)
    if (foreign > 0) {
      await registrar[Symbol.asyncDispose]()
      await server.server.stop()
      insertForeignEntries(database, foreign)
      await server.server.restart()
      registrar = await this.startRegistrar(server)
      await registrar.settled(ownCount)
    }
    parts.use(registrar)
    const entries = countEntries(database)
    if (entries !== ownCount + foreign) throw new Error(`the server has ${entries} entries`)
    const scene = { server, registrar }
    this.#scene = { foreign, scene, parts: parts.move() }
    return scene
  }

  async closeScene(): Promise<void> {
    const closing = this.#scene
    this.#scene = undefined
    await closing?.parts.disposeAsync()
  }

  /** Creates a pod that has its node already. @returns when the API server had acknowledged it, in epoch milliseconds */
  async createPod({ namespace, name, nodeName }: BenchPod): Promise<number> {
    const spec = {
      nodeName,
      serviceAccountName: account,
      containers: [{ name: 'main', image: 'none.test/none:1' }],
      // No kubelet reports these nodes as ready, and nobody is to evict their pods for that.
      tolerations: [{ operator: 'Exists' }],
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
    }
    await this.#client.create(pods, { metadata: { namespace, name }, spec })
    return Date.now()
  }

  /** They are gone at once, as no kubelet has to end them. Resolves when their entries are gone as well. */
  async deletePods(gone: readonly BenchPod[], server: BenchServer): Promise<void> {
    const { database } = server.server
    const left = countEntries(database) - gone.length
    await Promise.all(gone.map(({ namespace, name }) => this.#client.delete(pods, { namespace, name })))
    await until('the entries to go', () => countEntries(database) <= left, { timeout: 120_000, interval: 250 })
  }

  async #populate(): Promise<void> {
    const client = this.#client
    await Promise.all(upTo(nodeCount).map((index) => client.create(nodes, { metadata: { name: nodeName(index) } })))
    await Promise.all(
      upTo(namespaceCount).map(async (index) => {
        const { namespace } = benchPod(resident, index)
        await client.create(namespaces, { metadata: { name: namespace } })
        await client.create(serviceAccounts, { metadata: { namespace, name: account } })
      }),
    )
    await Promise.all(upTo(podCount).map((index) => this.createPod(benchPod(resident, index))))
  }
}

const namespaces: Resource = { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace', namespaced: false }
const serviceAccounts: Resource = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
}

export function nodeName(index: number): string {
  return `node-${index}`
}

/** The numbers from 0 on, so many. */
export function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index)
}

/** Of any registrar. */
export function registrarConfiguration(socket: string): string {
  return `
    mode = "reconcile"
    trust_domain = "example.org"
    cluster = "demo"
    server_socket_path = "${socket}"
  `
}
