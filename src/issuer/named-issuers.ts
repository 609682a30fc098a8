import { Counter, Gauge, type Registry } from 'prom-client'
import type { Clock, Timer } from '../runtime/clock.ts'
import { type FileChanges, watchFiles } from '../runtime/file-changes.ts'
import type { Log } from '../runtime/log.ts'
import { Mutex } from '../runtime/mutex.ts'
import type { Issuer, IssuerReference } from './issuer.ts'
import { type IssuersConfig, IssuersConfigError, readIssuersConfig } from './issuers-config.ts'
import { unknownIssuer } from './unknown-issuer.ts'
import { VaultConnection } from './vault/connection.ts'
import { PodSessions } from './vault/sessions.ts'
import type { VaultSettings } from './vault/settings.ts'
import { VaultIssuer } from './vault/vault-issuer.ts'

export interface NamedIssuersOptions {
  /** Absolute path of the configuration. */
  readonly file: string
  readonly clock: Clock
  readonly log: Log
  readonly registry: Registry
  /** What must be added to the CSIDriver object for tokens of an audience, for people; undefined where nothing must, as far as known. */
  readonly tokenObstacle: (audience: string) => string | undefined
}

interface Named {
  readonly settings: VaultSettings
  readonly issuer: VaultIssuer
}

/** How long until a folder that cannot be watched is tried again, in milliseconds. */
const watchPause = 60_000

/**
 * The issuers of the administrator's file. The file is read again when it changes; one that cannot be used is told and changes nothing.
 * An issuer whose settings stay keeps its logins; what is under way with an earlier one ends there.
 */
export class NamedIssuers {
  readonly #options: NamedIssuersOptions
  readonly #reading = new Mutex()
  readonly #valid: Gauge
  readonly #reloads: Counter<'outcome'>
  #named: ReadonlyMap<string, Named> = new Map()
  #files: readonly string[]
  #changes: FileChanges | undefined
  #retry: Timer | undefined
  /** Why the file cannot be used as it is. */
  #problem: string | undefined
  #retired: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(options: NamedIssuersOptions) {
    this.#options = options
    this.#files = [options.file]
    const registers = [options.registry]
    this.#valid = new Gauge({
      name: 'podpass_issuers_config_valid',
      help: '1 where the file of --issuers-config is in use as it is; 0 where an earlier one is, or none.',
      registers,
    })
    this.#reloads = new Counter({
      name: 'podpass_issuers_config_changes_total',
      help: 'Changes of the configuration of issuers by outcome: applied or refused.',
      labelNames: ['outcome'],
      registers,
    })
  }

  /** Reads the file. A bad one does not keep the driver from its other volumes: it is told, and can be mended meanwhile. */
  static async open(options: NamedIssuersOptions): Promise<NamedIssuers> {
    const issuers = new NamedIssuers(options)
    await issuers.#reload()
    return issuers
  }

  /** The issuer of a name, as it is configured at the moment. */
  issuerFor(reference: Pick<IssuerReference, 'kind' | 'name'>): Issuer {
    return this.#named.get(keyOf(reference))?.issuer ?? unknownIssuer(() => this.#describeUnknown(reference))
  }

  /** Stops watching and ends the logins of all pods. */
  async close(): Promise<void> {
    this.#closed = true
    this.#retry?.cancel()
    this.#changes?.close()
    await this.#reading.idle()
    for (const { issuer } of this.#named.values()) this.#retire(issuer)
    await this.#retired
  }

  #reload(): Promise<void> {
    return this.#reading.run(async () => {
      if (this.#closed) return
      const { file, log } = this.#options
      const before = this.#problem
      const read = await this.#readWatched()
      if (read instanceof IssuersConfigError) {
        this.#problem = read.message
        this.#valid.set(0)
        if (read.message === before) return
        this.#reloads.inc({ outcome: 'refused' })
        const kept = this.#named.size === 0 ? 'there are none until it is mended' : 'the last good ones stay'
        const problems = read.message.split('\n')
        log.error({ file, problems }, `the configuration of issuers cannot be used; ${kept}`)
        return
      }
      this.#problem = undefined
      this.#valid.set(1)
      if (!this.#apply(read.issuers) && before === undefined) return
      this.#reloads.inc({ outcome: 'applied' })
      log.info({ file, issuers: [...this.#named.keys()] }, 'the issuers of this driver are configured')
    })
  }

  /** Reads the configuration with its folders watched since before the reading, so that no change is missed. */
  async #readWatched(): Promise<IssuersConfig | IssuersConfigError> {
    for (;;) {
      this.#watch()
      const read = await readIssuersConfig(this.#options.file).catch((error: unknown) => {
        if (error instanceof IssuersConfigError) return error
        throw error
      })
      if (JSON.stringify(read.files) === JSON.stringify(this.#files)) return read
      this.#files = read.files
    }
  }

  #watch(): void {
    const { clock, log } = this.#options
    const reload = (): void => {
      this.#reload().catch((error: unknown) => log.error({ error }, 'the configuration of issuers cannot be read'))
    }
    const before = this.#changes
    this.#changes = watchFiles(this.#files, clock, reload, (error) => {
      log.warn({ error }, 'the configuration of issuers cannot be watched; it is looked at again in a minute')
      this.#retry?.cancel()
      this.#retry = clock.timer(watchPause, reload)
    })
    before?.close()
  }

  /**
   * Takes over what is configured now.
   *
   * @returns whether it differs from before
   */
  #apply(wanted: readonly VaultSettings[]): boolean {
    const before = this.#named
    this.#named = new Map(
      wanted.map((settings) => {
        const known = before.get(keyOf(settings))
        const isSame = known !== undefined && JSON.stringify(known.settings) === JSON.stringify(settings)
        return [keyOf(settings), isSame ? known : { settings, issuer: this.#create(settings) }]
      }),
    )
    const kept = new Set(this.#named.values())
    const gone = [...before.values()].filter((named) => !kept.has(named))
    for (const { issuer } of gone) this.#retire(issuer)
    return gone.length > 0 || kept.size > before.size
  }

  #create(settings: VaultSettings): VaultIssuer {
    const { clock, log, tokenObstacle } = this.#options
    const connection = new VaultConnection({ ...settings, clock })
    const sessions = new PodSessions({ connection, settings, clock, log, tokenObstacle })
    return new VaultIssuer({ settings, connection, sessions })
  }

  /** Lets an issuer end that is no longer configured so. */
  #retire(issuer: VaultIssuer): void {
    this.#retired = Promise.all([this.#retired, issuer.close()]).then(() => {})
  }

  #describeUnknown({ kind, name }: Pick<IssuerReference, 'kind' | 'name'>): string {
    const { file } = this.#options
    const known = [...this.#named.keys()].join(', ')
    const there = known === '' ? 'there is none' : `there are ${known}`
    const problem = this.#problem === undefined ? '' : `; the file cannot be used as it is: ${this.#problem}`
    return `this node knows no issuer ${kind} ${name}: add it to ${file}, where ${there}${problem}`
  }
}

/** As a person reads it, such as `Vault corp`; a name has no space, so two never share one. */
function keyOf({ kind, name }: Pick<IssuerReference, 'kind' | 'name'>): string {
  return `${kind} ${name}`
}
