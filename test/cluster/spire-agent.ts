import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Selector } from '../../src/spire/entry.ts'
import { run } from './command.ts'
import { Daemon } from './daemon.ts'
import { subscribeToIdentities, type WorkloadIdentity } from './delegated-identity.ts'
import { plugin, type SpireServer } from './spire.ts'
import { until } from './until.ts'

/** How an agent shows the server which node it is. */
export type Attestation =
  /** @param alias - a SPIFFE ID that the agent gets beside its own, and that entries may have as their parent */
  | { readonly by: 'join token'; readonly alias?: string }
  /** @param cluster - as the server's options call it */
  | { readonly by: 'pod token'; readonly cluster: string; readonly tokenFile: string }

export interface SpireAgentOptions {
  /** @default a join token, without an alias */
  readonly attestation?: Attestation
}

/** A real SPIRE agent beside its server, in whose directory it lives. It hears of new entries within a second. */
export class SpireAgent {
  /** Its own SPIFFE ID, such as `spiffe://example.org/spire/agent/join_token/…`. */
  readonly id: string
  /** Its Workload API. It knows workloads by `unix:uid:…` and the like. An absolute path. */
  readonly socket: string
  readonly #server: SpireServer
  readonly #directory: string
  #daemon: Daemon
  #delegation: Promise<unknown> | undefined

  private constructor(server: SpireServer, directory: string, id: string, daemon: Daemon) {
    this.#server = server
    this.#directory = directory
    this.#daemon = daemon
    this.id = id
    this.socket = join(directory, 'public/api.sock')
  }

  /** Resolves once it has attested and answers. */
  static async start(server: SpireServer, options: SpireAgentOptions = {}): Promise<SpireAgent> {
    const { attestation = { by: 'join token' } } = options
    const directory = await mkdtemp(join(server.directory, 'agent-'))
    for (const name of ['public', 'admin', 'data']) await mkdir(join(directory, name))
    const bundle = join(directory, 'bundle.pem')
    await writeFile(bundle, await server.command('bundle show'))
    await writeFile(
      join(directory, 'agent.json'),
      JSON.stringify(configuration(server, directory, bundle, await attest(server, attestation))),
    )
    const daemon = await launch(server, directory)
    try {
      const id = await until('spire-agent to attest', () => attestedId(daemon.log), { orFail: daemon.failure() })
      return new SpireAgent(server, directory, id, daemon)
    } catch (error) {
      await daemon.close()
      throw error
    }
  }

  /** Ends it and starts it again; it keeps its keys and need not attest again. */
  async restart(): Promise<void> {
    await this.#daemon.close('SIGTERM')
    this.#daemon = await launch(this.#server, this.#directory)
  }

  /**
   * The X.509-SVID that a workload gets which shows exactly these selectors. It asks the agent's Delegated Identity API, for which an entry lets
   * processes of this user.
   *
   * @param wanted - passes over identities, such as those before a change. @default the first
   * @throws {TimedOutError} where there is none within a minute
   */
  async identityOf(
    selectors: readonly Selector[],
    wanted: (identity: WorkloadIdentity) => boolean = () => true,
  ): Promise<WorkloadIdentity> {
    const shown = selectors.map(({ type, value }) => `${type}:${value}`).join(', ')
    // It refuses until the entry has reached it.
    return until(`an identity of ${shown}`, async () => {
      for await (const identities of this.identitiesOf(selectors, Date.now() + 60_000)) {
        const found = identities.find(wanted)
        if (found) return found
      }
      return undefined
    })
  }

  /**
   * All X.509-SVIDs that a workload gets which shows exactly these selectors: now, and again after each change.
   *
   * @param deadline - epoch milliseconds
   * @throws {ServiceError} PERMISSION_DENIED at the first time, until the agent knows who may ask
   */
  async *identitiesOf(
    selectors: readonly Selector[],
    deadline: number,
  ): AsyncGenerator<readonly WorkloadIdentity[], void, undefined> {
    this.#delegation ??= this.#server.createEntry({
      spiffeId: delegate(this.#server),
      parentId: this.id,
      selector: [`unix:uid:${process.getuid?.() ?? 0}`],
    })
    await this.#delegation
    yield* subscribeToIdentities(join(this.#directory, 'admin/api.sock'), selectors, deadline)
  }

  async close(): Promise<void> {
    await this.#daemon.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** @returns the agent's flags and plugin for it */
async function attest(server: SpireServer, attestation: Attestation): Promise<AgentAttestation> {
  if (attestation.by === 'pod token') {
    const { cluster, tokenFile } = attestation
    return { settings: {}, attestor: plugin('k8s_psat', { cluster, token_path: tokenFile }) }
  }
  const alias = attestation.alias === undefined ? [] : ['-spiffeID', attestation.alias]
  const answer = await server.command('token generate', ['-output', 'json', ...alias])
  const { value } = JSON.parse(answer) as { readonly value: string }
  return { settings: { join_token: value }, attestor: plugin('join_token', {}) }
}

interface AgentAttestation {
  readonly settings: object
  readonly attestor: readonly object[]
}

function configuration(server: SpireServer, directory: string, bundle: string, by: AgentAttestation): object {
  const { hostname, port } = new URL(`tcp://${server.address}`)
  const data = join(directory, 'data')
  return {
    agent: {
      server_address: hostname,
      server_port: Number(port),
      socket_path: join(directory, 'public/api.sock'),
      admin_socket_path: join(directory, 'admin/api.sock'),
      data_dir: data,
      trust_domain: server.trustDomain,
      trust_bundle_path: bundle,
      authorized_delegates: [delegate(server)],
      log_level: 'DEBUG',
      log_format: 'json',
      ...by.settings,
      experimental: { sync_interval: '500ms' },
    },
    plugins: {
      KeyManager: plugin('disk', { directory: data }),
      NodeAttestor: by.attestor,
      WorkloadAttestor: plugin('unix', {}),
    },
  }
}

function delegate(server: SpireServer): string {
  return server.id('/delegate-of-the-tests')
}

async function launch(server: SpireServer, directory: string): Promise<Daemon> {
  const program = join(server.programs, 'spire-agent')
  const log = join(directory, 'log')
  const daemon = await Daemon.start(program, ['run', '-config', join(directory, 'agent.json')], { log })
  try {
    const socket = ['-socketPath', join(directory, 'public/api.sock')]
    const answers = (): Promise<boolean> => run(program, ['healthcheck', ...socket]).then(() => true)
    await until('spire-agent', answers, { orFail: daemon.failure() })
  } catch (error) {
    await daemon.close()
    throw error
  }
  return daemon
}

/** The ID that the server gave it: only its log tells. */
async function attestedId(log: string): Promise<string | undefined> {
  for (const line of (await readFile(log, 'utf8')).split('\n')) {
    if (!line.includes('Node attestation was successful')) continue
    return (JSON.parse(line) as { readonly spiffe_id: string }).spiffe_id
  }
  return undefined
}
