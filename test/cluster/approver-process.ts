import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { claimPort } from './claim.ts'
import { run } from './command.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { DaemonEndedError } from './daemon.ts'
import { serviceAccountKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { until } from './until.ts'

const project = join(import.meta.dirname, '../..')
const program = join(project, 'dist/podpass.cjs')
const account = { namespace: 'podpass', name: 'podpass-approver' }

/** A line of the approver's log. */
export interface ApproverLogEntry {
  readonly message: string
  /** Set in the lines that tell of decisions. */
  readonly audit?: string
  readonly request?: string
  readonly decision?: string
  readonly reason?: string
  readonly why?: string
  readonly [field: string]: unknown
}

/**
 * Creates the kind CertificatePolicy, the approver's account and its rights from the manifests that ship, and lets it approve for more
 * signers.
 *
 * @param signers - of certificates.k8s.io, to be approved for
 * @param issuers - as cert-manager's webhook names them
 */
export async function installApprover(
  controlPlane: ControlPlaneAccess,
  signers: readonly string[],
  issuers: readonly string[] = [],
): Promise<void> {
  const folder = join(project, 'deploy/approver')
  await createNamespace(controlPlane, account.namespace)
  await kubectl(controlPlane, ['apply', '-f', join(folder, 'crd.yaml'), '-f', join(folder, 'rbac.yaml')])
  await kubectl(controlPlane, ['wait', '--for=condition=Established', 'crd/certificatepolicies.podpass.io'])
  const name = 'podpass-approver-test-signers'
  const rule = { resources: ['signers'], resourceNames: signers }
  await apply(
    controlPlane,
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name },
      rules: [
        { ...rule, apiGroups: ['certificates.k8s.io'], verbs: ['approve'] },
        ...issuers.map((issuer) => ({
          apiGroups: ['cert-manager.io'],
          resources: ['signers'],
          resourceNames: [issuer],
          verbs: ['approve'],
        })),
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    },
  )
}

/** The built approver as its Deployment runs it: with its own service account, and no other rights. */
export class ApproverProcess {
  readonly log: ApproverLogEntry[] = []
  readonly #kubeconfig: string
  readonly #child: ChildProcess
  readonly #port: number
  readonly #ground: AsyncDisposableStack

  private constructor(kubeconfig: string, child: ChildProcess, port: number, ground: AsyncDisposableStack) {
    this.#kubeconfig = kubeconfig
    this.#child = child
    this.#port = port
    this.#ground = ground
  }

  /** @param flags - more flags of `podpass approver` */
  static async start(controlPlane: ControlPlaneAccess, flags: readonly string[] = []): Promise<ApproverProcess> {
    const { kubeconfig } = await serviceAccountKubeconfig(controlPlane, account)
    await using ground = new AsyncDisposableStack()
    const { port, claim } = await claimPort()
    ground.use(claim)
    const own = [
      `--kubeconfig=${kubeconfig}`,
      `--metrics-bind-address=127.0.0.1:${port}`,
      '--leader-election-namespace=podpass',
      '--leader-election-lease-duration=3s',
      '--leader-election-renew-deadline=2s',
      '--leader-election-retry-period=500ms',
      '--log-level=debug',
    ]
    const child = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', '--', process.execPath, program, 'approver', ...own, ...flags],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        // What this process was given for itself, such as NODE_OPTIONS, is not the approver's.
        env: { PATH: process.env['PATH'] },
        detached: true,
      },
    )
    const approver = new ApproverProcess(kubeconfig, child, port, ground.move())
    createInterface(child.stderr).on('line', (line) => approver.log.push(parseLine(line)))
    await once(child, 'spawn')
    return approver
  }

  /** The decisions that it has told of, in their order. */
  get decisions(): readonly ApproverLogEntry[] {
    return this.log.filter(({ audit }) => audit !== undefined)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get isLeading(): boolean {
    return this.log.some(({ message }) => message === 'deciding')
  }

  /** Waits for a line of its log. */
  logged(what: string, matches: (entry: ApproverLogEntry) => boolean): Promise<ApproverLogEntry> {
    return until(what, () => {
      const found = this.log.find(matches)
      if (found === undefined && this.#child.exitCode !== null) {
        throw new DaemonEndedError(`the approver ended:\n${JSON.stringify(this.log.slice(-5))}`)
      }
      return found
    })
  }

  /** Waits until it decides. */
  async leading(): Promise<void> {
    await this.logged('the approver to lead', ({ message }) => message === 'deciding')
  }

  /**
   * Rejects when it ends. For whoever waits for its work.
   *
   * @throws {DaemonEndedError}
   */
  async failure(): Promise<never> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close')
    throw new DaemonEndedError(`the approver ended:\n${JSON.stringify(this.log.slice(-5))}`)
  }

  /** @param page - such as `/readyz` */
  async ask(page: string): Promise<{ readonly status: number; readonly text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}${page}`)
    return { status: answer.status, text: await answer.text() }
  }

  /** What `podpass approver explain` says of a request, with the approver's own rights. */
  explain(request: string): Promise<string> {
    return run(process.execPath, [program, 'approver', 'explain', request, `--kubeconfig=${this.#kubeconfig}`])
  }

  /** Ends it as a kubelet does, or without giving it a chance, and waits for that. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'close')
      this.#child.kill(signal)
      await ended
    }
    await this.#ground.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

function parseLine(line: string): ApproverLogEntry {
  return line.startsWith('{') ? (JSON.parse(line) as ApproverLogEntry) : { message: line }
}
