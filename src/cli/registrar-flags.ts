import { type Command, Option } from 'commander'
import { RegistrarConfigError } from '../registrar/config/config-error.ts'
import { type ConfigReading, readRegistrarConfig } from '../registrar/config/read-config.ts'
import { identityRules } from '../registrar/desired/identity-rules.ts'
import { PodTemplateError } from '../registrar/template/pod-template.ts'
import type { LogLevel } from '../runtime/log.ts'
import { type ConnectionFlags, connectionOptions, type RateFlags, rateOptions } from './connection.ts'
import { parseBindAddress, parseBoolean, parseLogLevel } from './flag-values.ts'
import { UsageError } from './usage-error.ts'

/** What `podpass registrar` takes besides its file. */
export interface RegistrarFlags extends ConnectionFlags, RateFlags {
  readonly config: string
  /** Whether entries of an old registrar are gone on with where no lock tells whether it still runs. */
  readonly takeover: boolean
  /** Whether the delete fuse lets everything pass. */
  readonly confirmDeletes: boolean
  readonly metricsBindAddress?: string
  readonly logLevel?: LogLevel
}

function toggle(name: string, description: string): Option {
  return new Option(`--${name} [boolean]`, description).argParser(parseBoolean).preset('true').default(false)
}

function group(heading: string, options: readonly Option[]): readonly Option[] {
  return options.map((option) => option.helpGroup(heading))
}

/** Adds every flag of the running registrar. */
export function addRegistrarOptions(command: Command): Command {
  const options = [
    ...group('What it does:', [
      new Option('--config <file>', "the file of SPIRE's k8s-workload-registrar, in HCL or JSON").default(
        'k8s-workload-registrar.conf',
      ),
      toggle('takeover', 'without leader election: go on with the entries of an old registrar, which must not run'),
      toggle('confirm-deletes', 'delete what delete_fuse would hold back; for one start'),
    ]),
    ...group('API server:', [...connectionOptions(), ...rateOptions()]),
    ...group('Watching it:', [
      new Option('--metrics-bind-address <address>', 'where to serve /metrics, /healthz and /readyz; 0 for nowhere')
        .argParser(parseBindAddress)
        .default(undefined, 'as the file says'),
      new Option('-v, --log-level <level>', 'debug, info, warn or error')
        .argParser(parseLogLevel)
        .default(undefined, 'as the file says'),
    ]),
  ]
  for (const option of options) command.addOption(option)
  return command
}

/** What the registrar runs with. */
export interface RegistrarSettings extends ConfigReading {
  /** With the file's kubeconfig where no flag says otherwise. */
  readonly connection: ConnectionFlags
  readonly logLevel: LogLevel
}

/**
 * Reads the file, and puts the flags above it.
 *
 * @throws {UsageError} with everything that is wrong in the file, a line each
 */
export async function registrarSettings(flags: RegistrarFlags): Promise<RegistrarSettings> {
  const { config, warnings, connection } = await readRegistrarSettings(flags)
  return {
    config: { ...config, metricsAddress: flags.metricsBindAddress ?? config.metricsAddress },
    warnings,
    connection,
    logLevel: flags.logLevel ?? config.log.level,
  }
}

/**
 * Reads the file.
 *
 * @throws {UsageError} with everything that is wrong in it, a line each
 */
export async function readRegistrarSettings(
  flags: ConnectionFlags & Pick<RegistrarFlags, 'config'>,
): Promise<ConfigReading & Pick<RegistrarSettings, 'connection'>> {
  const reading = await readUsableConfig(flags.config).catch((error: unknown) => {
    const isTheFile = error instanceof RegistrarConfigError || error instanceof PodTemplateError
    throw isTheFile ? new UsageError(error.message, { cause: error }) : error
  })
  const kubeconfig = flags.kubeconfig ?? reading.config.kubeconfig
  return { ...reading, connection: kubeconfig === undefined ? flags : { ...flags, kubeconfig } }
}

/** Templates are tried, too: they would fail for every pod. */
async function readUsableConfig(path: string): Promise<ConfigReading> {
  const reading = await readRegistrarConfig(path)
  identityRules(reading.config)
  return reading
}
