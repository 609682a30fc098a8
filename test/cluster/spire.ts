import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Entry, EntrySpec } from '../../src/spire/entry.ts'
import { createAuthority } from './certificate-authority.ts'
import { claimPort } from './claim.ts'
import { run } from './command.ts'
import { buildComponent } from './components/build.ts'
import { spire } from './components/spire/recipe.ts'
import { Daemon } from './daemon.ts'
import { until } from './until.ts'
import { Workspace } from './workspace.ts'

/** A Kubernetes cluster whose nodes' agents may attest with the token of their pod (`k8s_psat`). */
export interface PsatCluster {
  /** How the server reviews tokens and reads pods and nodes. */
  readonly kubeconfig: string
  /** Of the agents, such as `spire:spire-agent`. */
  readonly serviceAccounts: readonly string[]
}

export interface SpireServerOptions {
  /** @default {'example.org'} */
  readonly trustDomain?: string
  /** By the names that agents give. @default none: agents attest with join tokens only */
  readonly clusters?: Readonly<Record<string, PsatCluster>>
  /** SPIFFE IDs that administer the server without an entry that says so. */
  readonly admins?: readonly string[]
  /** A kubeconfig file: the CA goes into all webhook configurations of that cluster with the label `spiffe.io/webhook`. */
  readonly webhooks?: string
  /** How long X.509-SVIDs live, as Go writes durations. @default {'1h'} */
  readonly svidLifetime?: string
  /** As a benchmark needs it: by default it is tuned for tests, which wait for agents and read its log. */
  readonly production?: {
    /** Where it serves metrics for Prometheus, on loopback. */
    readonly metricsPort: number
  }
}

/** An entry to create: what is not given is empty or false. */
export interface WantedEntry extends Partial<EntrySpec> {
  readonly spiffeId: string
  readonly parentId: string
  /** As the server's command line takes them, such as `k8s:ns:shop`. */
  readonly selector: readonly string[]
  /** @default the server chooses */
  readonly id?: string
  readonly admin?: boolean
}

/**
 * A real SPIRE server in a directory of its own, on a Unix socket and on loopback. It is its own CA; keys and entries are in files, so it can
 * be stopped and started. What is written is seen by agents within a second.
 */
export class SpireServer {
  /** Goes with the server. Logs are in `log/`. */
  readonly directory: string
  readonly trustDomain: string
  /** Whoever connects here administers the server. An absolute path. */
  readonly socket: string
  /** `host:port`, with TLS. */
  readonly address: string
  /** Its programs, `spire-server` and `spire-agent`. */
  readonly programs: string
  readonly #ground: AsyncDisposableStack
  #daemon: Daemon | undefined

  private constructor(
    place: Pick<SpireServer, 'directory' | 'trustDomain' | 'address' | 'programs'>,
    ground: AsyncDisposableStack,
  ) {
    this.directory = place.directory
    this.trustDomain = place.trustDomain
    this.address = place.address
    this.programs = place.programs
    this.socket = join(place.directory, 'server/api.sock')
    this.#ground = ground
  }

  /** Resolves once it answers. */
  static async start(options: SpireServerOptions = {}): Promise<SpireServer> {
    const programs = await buildComponent(spire, console.error)
    await using ground = new AsyncDisposableStack()
    const { directory } = ground.use(await Workspace.create())
    const { port, claim } = await claimPort()
    ground.use(claim)
    for (const name of ['server', 'log']) await mkdir(join(directory, name))
    const trustDomain = options.trustDomain ?? 'example.org'
    const address = `127.0.0.1:${port}`
    const server = new SpireServer({ directory, trustDomain, address, programs }, ground.move())
    try {
      // JSON is HCL, and the server reads it.
      await writeFile(server.#configuration, JSON.stringify(configuration(server, options)))
      await server.restart()
    } catch (error) {
      await server.close()
      throw error
    }
    return server
  }

  /** Starts it again after {@link stop}. */
  async restart(): Promise<void> {
    const log = join(this.directory, 'log/spire-server')
    const daemon = await Daemon.start(this.#program, ['run', '-config', this.#configuration], { log })
    this.#daemon = daemon
    const answers = (): Promise<boolean> => this.command('healthcheck').then(() => true)
    await until('spire-server', answers, { orFail: daemon.failure() })
  }

  /** @param signal - SIGTERM lets calls end first. @default {'SIGTERM'} */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#daemon?.close(signal)
  }

  /** Stops it where it is, until {@link resume}: connections stay, nothing is answered. */
  pause(): void {
    this.#daemon?.signal('SIGSTOP')
  }

  resume(): void {
    this.#daemon?.signal('SIGCONT')
  }

  /** Ends it and removes its directory. Whoever else works in there has to be closed before. */
  async close(): Promise<void> {
    await this.#daemon?.close()
    await this.#ground.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Whole, of a path in its trust domain: `/ns/shop` is `spiffe://example.org/ns/shop`. */
  id(path: string): string {
    return `spiffe://${this.trustDomain}${path}`
  }

  /**
   * Runs the server's command line as its administrator.
   *
   * @param words - the command's, such as `entry show`
   * @returns its standard output
   * @throws {CommandFailedError}
   */
  command(words: string, args: readonly string[] = []): Promise<string> {
    return run(this.#program, [...words.split(' '), '-socketPath', this.socket, ...args])
  }

  /** @returns the entry as the server has it. @throws {CommandFailedError} with what the server said of it */
  async createEntry(wanted: WantedEntry): Promise<Entry> {
    const answer = await this.command('entry create', [
      ...option('entryID', wanted.id === undefined ? [] : [wanted.id]),
      ...option('spiffeID', [wanted.spiffeId]),
      ...option('parentID', [wanted.parentId]),
      ...option('selector', wanted.selector),
      ...option('dns', wanted.dnsNames ?? []),
      ...option(
        'federatesWith',
        (wanted.federatesWith ?? []).map((name) => `spiffe://${name}`),
      ),
      ...(wanted.downstream === true ? ['-downstream'] : []),
      ...(wanted.admin === true ? ['-admin'] : []),
      '-output',
      'json',
    ])
    const { results } = JSON.parse(answer) as { readonly results: readonly { readonly entry: EntryJson }[] }
    if (results[0] === undefined) throw new Error(`spire-server entry create answered ${answer}`)
    return toEntry(results[0].entry)
  }

  /** All its entries, in no order. */
  async entries(): Promise<readonly Entry[]> {
    const answer = await this.command('entry show', ['-output', 'json'])
    return (JSON.parse(answer) as { readonly entries: readonly EntryJson[] }).entries.map(toEntry)
  }

  async deleteEntry(id: string): Promise<void> {
    await this.command('entry delete', ['-entryID', id])
  }

  /** Gives it the bundle of another trust domain, so that entries may federate with it. */
  async federateWith(trustDomain: string): Promise<void> {
    const { certificate } = await createAuthority(this.directory, trustDomain)
    await this.command('bundle set', ['-id', `spiffe://${trustDomain}`, '-path', certificate])
  }

  /** Its database, which is in WAL mode. */
  get database(): string {
    return join(this.directory, 'server/entries.sqlite3')
  }

  get #program(): string {
    return join(this.programs, 'spire-server')
  }

  get #configuration(): string {
    return join(this.directory, 'server/server.json')
  }
}

function configuration(server: SpireServer, options: SpireServerOptions): object {
  const directory = join(server.directory, 'server')
  const { hostname, port } = new URL(`tcp://${server.address}`)
  const clusters = Object.entries(options.clusters ?? {}).map(([name, cluster]) => [
    name,
    { kube_config_file: cluster.kubeconfig, service_account_allow_list: cluster.serviceAccounts },
  ])
  return {
    server: {
      bind_address: hostname,
      bind_port: Number(port),
      socket_path: server.socket,
      trust_domain: server.trustDomain,
      data_dir: directory,
      log_level: options.production === undefined ? 'DEBUG' : 'INFO',
      log_format: 'json',
      default_x509_svid_ttl: options.svidLifetime ?? '1h',
      admin_ids: options.admins ?? [],
      // Many agents may attest from one address.
      ratelimit: { attestation: false, signing: false },
      ...(options.production === undefined && { experimental: { cache_reload_interval: '500ms' } }),
    },
    ...(options.production !== undefined && {
      telemetry: { Prometheus: { host: '127.0.0.1', port: options.production.metricsPort } },
    }),
    plugins: {
      // Its directory does not outlive the machine, so nothing has to reach the disk.
      DataStore: plugin('sql', {
        database_type: 'sqlite3',
        connection_string: `${server.database}?_synchronous=OFF`,
      }),
      KeyManager: plugin('disk', { keys_path: join(directory, 'keys.json') }),
      NodeAttestor: [
        ...plugin('join_token', {}),
        ...(clusters.length > 0 ? plugin('k8s_psat', { clusters: [Object.fromEntries(clusters)] }) : []),
      ],
      ...(options.webhooks !== undefined && {
        Notifier: plugin('k8sbundle', {
          webhook_label: 'spiffe.io/webhook',
          kube_config_file_path: options.webhooks,
        }),
      }),
    },
  }
}

/** A plugin in a SPIRE configuration. @param data - its own settings */
export function plugin(name: string, data: object): readonly object[] {
  return [{ [name]: { plugin_data: data } }]
}

function option(name: string, values: readonly string[]): readonly string[] {
  return values.flatMap((value) => [`-${name}`, value])
}

/** An entry as the command line writes it: fields that are empty may be absent. */
interface EntryJson {
  readonly id: string
  readonly spiffe_id: IdJson
  readonly parent_id: IdJson
  readonly selectors: readonly { readonly type: string; readonly value: string }[]
  readonly dns_names?: readonly string[]
  readonly federates_with?: readonly string[]
  readonly downstream?: boolean
  readonly admin?: boolean
  readonly revision_number?: string
}

interface IdJson {
  readonly trust_domain: string
  readonly path: string
}

function toEntry(json: EntryJson): Entry {
  const whole = (id: IdJson): string => `spiffe://${id.trust_domain}${id.path}`
  return {
    id: json.id,
    spiffeId: whole(json.spiffe_id),
    parentId: whole(json.parent_id),
    selectors: json.selectors,
    dnsNames: json.dns_names ?? [],
    federatesWith: json.federates_with ?? [],
    downstream: json.downstream ?? false,
    admin: json.admin ?? false,
    revision: BigInt(json.revision_number ?? 0),
  }
}
