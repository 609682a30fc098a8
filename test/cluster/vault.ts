import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createAuthority, issue } from './certificate-authority.ts'
import { claimPort } from './claim.ts'
import { buildComponent } from './components/build.ts'
import { vault } from './components/vault/recipe.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { createToken } from './kubeconfig.ts'
import { apply } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { until } from './until.ts'

/** What Vault answers with, but for an empty answer. */
type Json = Readonly<Record<string, unknown>>

/** A real Vault on loopback, with TLS and its storage in a folder, so that it can be restarted. Its log is `log/vault`. */
export class VaultServer {
  readonly address: string
  /** The CA of its TLS certificate, in PEM. */
  readonly ca: string
  readonly #controlPlane: ControlPlaneAccess
  readonly #program: string
  readonly #configuration: string
  readonly #parts: AsyncDisposableStack
  #daemon: Daemon | undefined
  #rootToken = ''
  #unsealKey = ''

  private constructor(
    controlPlane: ControlPlaneAccess,
    program: string,
    configuration: string,
    files: { readonly address: string; readonly ca: string },
    parts: AsyncDisposableStack,
  ) {
    this.#controlPlane = controlPlane
    this.#program = program
    this.#configuration = configuration
    this.address = files.address
    this.ca = files.ca
    this.#parts = parts
  }

  /** Resolves once it is initialized and unsealed; nothing is mounted yet. */
  static async start(controlPlane: ControlPlaneAccess): Promise<VaultServer> {
    const binaries = await buildComponent(vault, console.error)
    await using parts = new AsyncDisposableStack()
    const { port, claim } = await claimPort()
    parts.use(claim)
    const directory = join(controlPlane.directory, `vault-${port}`)
    await mkdir(join(directory, 'storage'), { recursive: true })
    const authority = await createAuthority(directory, 'vault-ca')
    const { certificate, key } = await issue(authority, directory, 'vault', {
      commonName: 'vault',
      alternativeNames: ['IP:127.0.0.1'],
    })
    const address = `https://127.0.0.1:${port}`
    const configuration = join(directory, 'vault.json')
    await writeFile(
      configuration,
      JSON.stringify({
        storage: { file: { path: join(directory, 'storage') } },
        listener: [{ tcp: { address: `127.0.0.1:${port}`, tls_cert_file: certificate, tls_key_file: key } }],
        api_addr: address,
        // Locked memory needs a capability that a machine may withhold, and nothing here is secret.
        disable_mlock: true,
      }),
    )
    const ca = await readFile(authority.certificate, 'utf8')
    const server = new VaultServer(controlPlane, join(binaries, 'vault'), configuration, { address, ca }, parts.move())
    try {
      await server.#launch()
      const { keys_base64: keys, root_token: token } = await server.post('sys/init', {
        secret_shares: 1,
        secret_threshold: 1,
      })
      server.#unsealKey = (keys as readonly string[])[0] ?? ''
      server.#rootToken = String(token)
      await server.unseal()
    } catch (error) {
      await server.close()
      throw error
    }
    return server
  }

  /** The token of its administrator. */
  get rootToken(): string {
    return this.#rootToken
  }

  /** Starts it again after {@link stop}. */
  async restart(): Promise<void> {
    await this.#launch()
    await this.unseal()
  }

  async stop(): Promise<void> {
    await this.#daemon?.close('SIGTERM')
  }

  async seal(): Promise<void> {
    await this.post('sys/seal', {})
  }

  async unseal(): Promise<void> {
    await this.post('sys/unseal', { key: this.#unsealKey })
    await until('Vault to be unsealed', async () => (await this.#call('GET', 'sys/health')) !== undefined)
  }

  /** Calls its API as its administrator. @throws where it answers with an error */
  post(path: string, body: object): Promise<Json> {
    return this.#call('POST', path, body)
  }

  /** Calls its API as its administrator. @throws where it answers with an error */
  async delete(path: string): Promise<void> {
    await this.#call('DELETE', path)
  }

  /** Calls its API as its administrator. @returns the keys of a folder; none where there is nothing */
  async list(path: string): Promise<readonly string[]> {
    const answer = await this.#call('GET', `${path}?list=true`).catch((error: Error) => {
      if (error.message.startsWith('404')) return {}
      throw error
    })
    const { data } = answer as { readonly data?: { readonly keys?: readonly string[] } }
    return data?.keys ?? []
  }

  async close(): Promise<void> {
    await this.#daemon?.close()
    await this.#parts.disposeAsync()
  }

  /**
   * Sets it up as docs/vault.md says: a root and an intermediate that signs, mounted at `pki`; the role `pods`, which signs for names below
   * svc.cluster.local; and Kubernetes auth, which asks the API server.
   */
  async configure(): Promise<void> {
    await this.#configurePki()
    await this.#configureAuth()
  }

  /** Lets service accounts of a namespace log in, by a role of Kubernetes auth. */
  async allow(role: string, namespace: string, changes: Json = {}): Promise<void> {
    await this.post(`auth/kubernetes/role/${role}`, {
      bound_service_account_names: '*',
      bound_service_account_namespaces: namespace,
      audience: 'vault',
      token_policies: 'pods',
      token_ttl: '10m',
      ...changes,
    })
  }

  async #configurePki(): Promise<void> {
    for (const mount of ['pki-root', 'pki']) {
      await this.post(`sys/mounts/${mount}`, { type: 'pki', config: { max_lease_ttl: '8760h' } })
    }
    const root = { common_name: 'Test root', key_type: 'ec', ttl: '8000h' }
    await this.post('pki-root/root/generate/internal', root)
    const { csr } = dataOf(
      await this.post('pki/intermediate/generate/internal', { common_name: 'Test intermediate', key_type: 'ec' }),
    )
    const signed = dataOf(await this.post('pki-root/root/sign-intermediate', { csr, ttl: '4000h' }))
    await this.post('pki/intermediate/set-signed', {
      certificate: `${String(signed['certificate'])}\n${String(signed['issuing_ca'])}`,
    })
    await this.post('pki/roles/pods', {
      allowed_domains: 'svc.cluster.local',
      allow_subdomains: true,
      require_cn: false,
      key_type: 'any',
      max_ttl: '720h',
    })
    await this.post('sys/policies/acl/pods', {
      policy: 'path "pki/sign/pods" { capabilities = ["update"] }',
    })
  }

  async #configureAuth(): Promise<void> {
    const controlPlane = this.#controlPlane
    const reviewer = { namespace: 'vault', name: 'reviewer' }
    await createNamespace(controlPlane, reviewer.namespace)
    await apply(
      controlPlane,
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: reviewer },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'vault-reviewer' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
        subjects: [{ kind: 'ServiceAccount', ...reviewer }],
      },
    )
    await this.post('sys/auth/kubernetes', { type: 'kubernetes' })
    await this.post('auth/kubernetes/config', {
      kubernetes_host: controlPlane.server,
      kubernetes_ca_cert: await readFile(controlPlane.certificateAuthority, 'utf8'),
      token_reviewer_jwt: await createToken(controlPlane, reviewer),
      disable_local_ca_jwt: true,
    })
  }

  async #launch(): Promise<void> {
    // One of its libraries carries an authority whose serial number is negative, which Go refuses by default.
    const env = { GODEBUG: 'x509negativeserial=1' }
    const log = join(this.#controlPlane.directory, 'log/vault')
    const args = ['server', `-config=${this.#configuration}`, '-log-level=debug']
    const daemon = await Daemon.start(this.#program, args, { log, env })
    this.#daemon = daemon
    // Sealed, it answers 501 or 503.
    const answers = (): Promise<boolean> =>
      this.#call('GET', 'sys/seal-status').then(
        () => true,
        (error: Error) => /^\d{3} /.test(error.message),
      )
    await until('Vault', answers, { orFail: daemon.failure() })
  }

  #call(method: string, path: string, body?: object): Promise<Json> {
    return new Promise((resolve, reject) => {
      const headers = this.#rootToken === '' ? {} : { 'x-vault-token': this.#rootToken }
      const asked = request(`${this.address}/v1/${path}`, { method, headers, ca: this.ca, agent: false })
      asked.once('error', reject)
      asked.once('response', (response) => {
        text(response).then((answer) => {
          const { statusCode = 0 } = response
          if (statusCode >= 400) reject(new Error(`${statusCode} ${method} ${path}: ${answer}`))
          else resolve(answer === '' ? {} : (JSON.parse(answer) as Json))
        }, reject)
      })
      asked.end(body && JSON.stringify(body))
    })
  }
}

function dataOf(answer: Json): Json {
  return answer['data'] as Json
}
