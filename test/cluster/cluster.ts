import { CertManager } from './cert-manager.ts'
import { ControlPlane, type ControlPlaneAccess } from './control-plane.ts'
import { Node, type NodeAccess } from './node.ts'
import { checkPrerequisites } from './prerequisites.ts'

/** Where a running cluster is. Plain data, so it can be handed to another process. */
export interface ClusterAccess {
  readonly controlPlane: ControlPlaneAccess
  readonly node: NodeAccess
}

/** A real cluster of one node on this machine: a control plane, a kubelet with containerd, and cert-manager. */
export class Cluster {
  readonly access: ClusterAccess
  readonly #parts: AsyncDisposableStack

  private constructor(access: ClusterAccess, parts: AsyncDisposableStack) {
    this.access = access
    this.#parts = parts
  }

  /**
   * Resolves once the node is Ready and cert-manager admits requests.
   *
   * @param say - takes a line about what takes long
   * @throws {PrerequisiteMissingError} naming what this machine has to have
   */
  static async start(say: (line: string) => void): Promise<Cluster> {
    const prerequisites = await checkPrerequisites()
    await using parts = new AsyncDisposableStack()
    const controlPlane = parts.use(await ControlPlane.start({ say }))
    // Both only need the API server. Whichever fails, the other is waited for and ended.
    const [node, certManager] = await Promise.allSettled([
      Node.start(controlPlane.access, prerequisites).then((node) => parts.use(node)),
      CertManager.start(controlPlane.access, say).then((manager) => parts.use(manager)),
    ])
    if (node.status === 'rejected') throw node.reason
    if (certManager.status === 'rejected') throw certManager.reason
    return new Cluster({ controlPlane: controlPlane.access, node: node.value.access }, parts.move())
  }

  /** Ends everything, the last started first. */
  async close(): Promise<void> {
    await this.#parts.disposeAsync()
  }
}
