import { generateKeyPairSync } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { createAuthority, issue, type KeyPair } from './certificate-authority.ts'
import { claimPort } from './claim.ts'
import { buildComponent } from './components/build.ts'
import { kubestack } from './components/kubestack/recipe.ts'
import { Daemon } from './daemon.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { kubectl } from './kubectl.ts'
import { until } from './until.ts'
import { Workspace } from './workspace.ts'

/** Where a running control plane is. Plain data, so it can be handed to another process. Paths are absolute. */
export interface ControlPlaneAccess {
  /** Everything of this control plane; logs are in `log/`, one file a component. It is gone once the control plane is closed. */
  readonly directory: string
  /** The API server's URL, on loopback. */
  readonly server: string
  /** The cluster's CA: of the API server's certificate and of client certificates. */
  readonly certificateAuthority: string
  readonly certificateAuthorityKey: string
  /** A kubeconfig file of a member of system:masters. */
  readonly adminKubeconfig: string
  /** etcd's URL, plain HTTP on loopback. */
  readonly etcdEndpoint: string
  /** The kubectl of the cluster's own version. */
  readonly kubectl: string
  readonly kubelet: string
}

export interface ControlPlaneOptions {
  /** More flags for kube-apiserver. */
  readonly apiServerFlags?: readonly string[]
  /** Takes a line about what takes long. @default a line on standard error */
  readonly say?: (line: string) => void
}

/**
 * A real control plane on loopback, for one machine and no longer than a test: etcd on a tmpfs, kube-apiserver and
 * kube-controller-manager. Any number may run at once. There is no scheduler, so pods name their node.
 */
export class ControlPlane {
  readonly access: ControlPlaneAccess
  readonly #apiServerFlags: readonly string[]
  readonly #ground: AsyncDisposableStack
  readonly #daemons = new Map<string, Daemon>()

  private constructor(access: ControlPlaneAccess, apiServerFlags: readonly string[], ground: AsyncDisposableStack) {
    this.access = access
    this.#apiServerFlags = apiServerFlags
    this.#ground = ground
  }

  /** Resolves once the API server is ready and the controllers are at work. */
  static async start(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const binaries = await buildComponent(kubestack, options.say ?? console.error)
    await using ground = new AsyncDisposableStack()
    const { directory } = ground.use(await Workspace.create())
    const [api, etcd] = [await claimPort(), await claimPort()]
    ground.use(api.claim)
    ground.use(etcd.claim)
    const access: ControlPlaneAccess = {
      directory,
      server: `https://127.0.0.1:${api.port}`,
      certificateAuthority: join(directory, 'pki/cluster-ca.crt'),
      certificateAuthorityKey: join(directory, 'pki/cluster-ca.key'),
      adminKubeconfig: join(directory, 'admin.kubeconfig'),
      etcdEndpoint: `http://127.0.0.1:${etcd.port}`,
      kubectl: join(binaries, 'kubectl'),
      kubelet: join(binaries, 'kubelet'),
    }
    const controlPlane = new ControlPlane(access, options.apiServerFlags ?? [], ground.move())
    try {
      await controlPlane.#start(binaries)
    } catch (error) {
      await controlPlane.close()
      throw error
    }
    return controlPlane
  }

  async #start(binaries: string): Promise<void> {
    const { directory, etcdEndpoint } = this.access
    const controllers = join(directory, 'controllers.kubeconfig')
    await writeCredentials(this.access, controllers)

    // Its data lives on a tmpfs of a mount namespace of its own, so that data and mount end with the process.
    const data = join(directory, 'etcd')
    await mkdir(data)
    const inNamespace = [
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-ec',
      'mount -t tmpfs etcd "$0"; exec "$@"',
      data,
    ]
    const etcdFlags = flags({
      'data-dir': join(data, 'data'),
      'unsafe-no-fsync': true,
      'listen-client-urls': etcdEndpoint,
      'advertise-client-urls': etcdEndpoint,
      'listen-peer-urls': 'http://127.0.0.1:0',
    })
    await this.#launch('etcd', 'unshare', [...inNamespace, join(binaries, 'etcd'), ...etcdFlags])
    await this.startApiServer()
    const pki = join(directory, 'pki')
    const controllerFlags = flags({
      kubeconfig: controllers,
      controllers: '*',
      'use-service-account-credentials': true,
      'leader-elect': false,
      'secure-port': 0,
      'root-ca-file': join(pki, 'cluster-ca.crt'),
      'cluster-signing-cert-file': join(pki, 'cluster-ca.crt'),
      'cluster-signing-key-file': join(pki, 'cluster-ca.key'),
      'service-account-private-key-file': join(pki, 'service-accounts.key'),
    })
    await this.#launch('kube-controller-manager', join(binaries, 'kube-controller-manager'), controllerFlags)
    await kubectl(this.access, ['wait', '-n', 'default', '--for=create', 'serviceaccount/default', '--timeout=60s'])
  }

  /** Starts kube-apiserver, on the port it always has, and resolves once it is ready. */
  async startApiServer(): Promise<void> {
    const { directory, kubectl, etcdEndpoint, server, certificateAuthority } = this.access
    const pki = join(directory, 'pki')
    const serverFlags = flags({
      'etcd-servers': etcdEndpoint,
      'bind-address': '127.0.0.1',
      'secure-port': new URL(server).port,
      // A loopback address may not be advertised, and nobody asks for what is advertised.
      'advertise-address': '192.0.2.1',
      'endpoint-reconciler-type': 'none',
      'service-cluster-ip-range': '10.96.0.0/24',
      'authorization-mode': 'Node,RBAC',
      'enable-admission-plugins': 'NodeRestriction',
      'allow-privileged': true,
      'tls-cert-file': join(pki, 'kube-apiserver.crt'),
      'tls-private-key-file': join(pki, 'kube-apiserver.key'),
      'client-ca-file': join(pki, 'cluster-ca.crt'),
      'kubelet-client-certificate': join(pki, 'admin.crt'),
      'kubelet-client-key': join(pki, 'admin.key'),
      'service-account-issuer': 'https://kubernetes.default.svc',
      'service-account-signing-key-file': join(pki, 'service-accounts.key'),
      'service-account-key-file': join(pki, 'service-accounts.pub'),
      // Nothing leads from the addresses of services to their pods here, so it asks the pods themselves.
      'enable-aggregator-routing': true,
      'admission-control-config-file': join(directory, 'admission.json'),
      // Without it, a watch that is open keeps an ending API server for a minute.
      'shutdown-watch-termination-grace-period': '2s',
    })
    const all = [...serverFlags, ...this.#apiServerFlags]
    const daemon = await this.#launch('kube-apiserver', join(kubectl, '../kube-apiserver'), all)
    const ca = await readFile(certificateAuthority)
    await until('kube-apiserver', () => answersOk(`${server}/readyz`, ca), { orFail: daemon.failure() })
  }

  /**
   * Ends kube-apiserver; etcd and the controllers go on.
   *
   * @param signal - SIGTERM drains connections first, SIGKILL just cuts them. @default {'SIGTERM'}
   */
  async stopApiServer(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#daemons.get('kube-apiserver')?.close(signal)
  }

  /** Stops kube-apiserver where it is, until {@link resumeApiServer}: connections stay, nothing is answered. */
  pauseApiServer(): void {
    this.#daemons.get('kube-apiserver')?.signal('SIGSTOP')
  }

  resumeApiServer(): void {
    this.#daemons.get('kube-apiserver')?.signal('SIGCONT')
  }

  /** Ends everything and removes the directory. */
  async close(): Promise<void> {
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon.close()))
    await this.#ground.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #launch(name: string, command: string, args: readonly string[]): Promise<Daemon> {
    const daemon = await Daemon.start(command, args, { log: join(this.access.directory, 'log', name) })
    this.#daemons.set(name, daemon)
    return daemon
  }
}

/** Makes the keys, certificates and kubeconfig files that the control plane's own parts need. */
async function writeCredentials(access: ControlPlaneAccess, controllersKubeconfig: string): Promise<void> {
  const pki = join(access.directory, 'pki')
  await mkdir(pki)
  await mkdir(join(access.directory, 'log'))
  const tokens = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await writeFile(join(pki, 'service-accounts.key'), tokens.privateKey.export({ type: 'sec1', format: 'pem' }))
  await writeFile(join(pki, 'service-accounts.pub'), tokens.publicKey.export({ type: 'spki', format: 'pem' }))

  const authority = await createAuthority(pki, 'cluster-ca')
  const alternativeNames = ['IP:127.0.0.1', 'IP:10.96.0.1', 'DNS:localhost', 'DNS:kubernetes.default.svc']
  await issue(authority, pki, 'kube-apiserver', { commonName: 'kube-apiserver', alternativeNames })
  const admin = await issue(authority, pki, 'admin', { commonName: 'admin', organizations: ['system:masters'] })
  await writeClientKubeconfig(access, access.adminKubeconfig, admin)
  const webhooks = await issue(authority, pki, 'webhook-client', { commonName: 'kube-apiserver-webhook-client' })
  await writeAdmissionConfiguration(access.directory, webhooks)
  const controllers = await issue(authority, pki, 'controllers', { commonName: 'system:kube-controller-manager' })
  await writeClientKubeconfig(access, controllersKubeconfig, controllers)
}

/** Has the API server show a certificate, of the cluster's own CA, to every webhook that asks for one. */
async function writeAdmissionConfiguration(directory: string, pair: KeyPair): Promise<void> {
  const kubeconfig = join(directory, 'webhooks.kubeconfig')
  const user = { 'client-certificate': pair.certificate, 'client-key': pair.key }
  await writeFile(kubeconfig, JSON.stringify({ apiVersion: 'v1', kind: 'Config', users: [{ name: '*', user }] }), {
    mode: 0o600,
  })
  const plugins = ['MutatingAdmissionWebhook', 'ValidatingAdmissionWebhook'].map((name) => ({
    name,
    configuration: {
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'WebhookAdmissionConfiguration',
      kubeConfigFile: kubeconfig,
    },
  }))
  const configuration = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration', plugins }
  await writeFile(join(directory, 'admission.json'), JSON.stringify(configuration))
}

function writeClientKubeconfig(access: ControlPlaneAccess, file: string, pair: KeyPair): Promise<void> {
  return writeKubeconfig(file, access.server, access.certificateAuthority, {
    'client-certificate': pair.certificate,
    'client-key': pair.key,
  })
}

function flags(values: Readonly<Record<string, string | number | boolean>>): readonly string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`)
}

/** Whether a URL answers with 200. A connection each, so that a server that is ending is not asked again over an old one. */
function answersOk(url: string, ca: Buffer): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { ca, agent: false, timeout: 5_000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.on('error', reject)
    asked.on('timeout', () => asked.destroy(new Error(`${url} does not answer`)))
    asked.end()
  })
}
