import { type Command, InvalidArgumentError, Option } from 'commander'
import { driverDefaults } from '../driver/driver.ts'
import { parseReadinessGate } from '../driver/readiness-gate.ts'
import { parseConfiguredTrust } from '../issuer/trust-config-map.ts'
import type { LogLevel } from '../runtime/log.ts'
import { standardDefaults } from '../volume/spec.ts'
import { type ConnectionFlags, connectionOptions, type RateFlags, rateOptions } from './connection.ts'
import {
  collect,
  parseBindAddress,
  parseBoolean,
  parseCount,
  parseDelay,
  parseEndpoint,
  parseLifetime,
  parseLogLevel,
  parseNumber,
} from './flag-values.ts'

/** What `podpass driver` takes. Durations are milliseconds. */
export interface DriverFlags extends ConnectionFlags, RateFlags {
  readonly nodeId?: string
  readonly endpoint?: string
  readonly driverName: string
  readonly dataRoot: string
  readonly registrationDir?: string
  readonly podsDir?: string
  readonly defaultDuration: number
  readonly defaultLayout: 'default' | 'legacy'
  readonly publishTimeout: number
  readonly keyPool: number
  readonly useTokenRequest: boolean
  readonly issuersConfig?: string
  readonly signerTrust: readonly string[]
  readonly continueOnNotReady: boolean
  readonly podReadinessGate: readonly string[]
  readonly gateBackoffDuration?: number
  readonly gateBackoffFactor?: number
  readonly gateBackoffJitter?: number
  readonly gateBackoffCap?: number
  readonly requireSan: boolean
  readonly requireNoswap: boolean
  readonly strictIssuer: boolean
  readonly volumeStats: boolean
  readonly metricsBindAddress: string
  readonly logLevel: LogLevel
  readonly config?: string
}

/** A flag that is on or off: `--flag`, or `--flag=false` as Go programs write it. */
function toggle(name: string, description: string): Option {
  return new Option(`--${name} [boolean]`, description).argParser(parseBoolean).preset('true').default(false)
}

/** A value that may be given more than once. It is kept as it was written. @param parse - throws for one that is wrong */
function collected(parse: (value: string) => unknown): (value: string, before: readonly string[]) => readonly string[] {
  return (value, before) => {
    try {
      parse(value)
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message)
    }
    return collect(value, before)
  }
}

/** Where the data root is named, for every command that needs it. */
export function dataRootOption(): Option {
  return new Option('--data-root <folder>', 'folder that volumes are kept in; a relative one is taken from /')
    .env('PODPASS_DATA_ROOT')
    .default('/csi-data-dir')
}

/** Puts flags under a heading of the help. */
function group(heading: string, options: readonly Option[]): readonly Option[] {
  return options.map((option) => option.helpGroup(heading))
}

/** Flags that the Go driver takes and that have nothing to act on here. */
const withoutEffect = [
  '--logging-format <format>',
  '--vmodule <modules>',
  '--log-flush-frequency <duration>',
  '--log-text-split-stream [boolean]',
  '--log-text-info-buffer-size <size>',
  '--log-json-split-stream [boolean]',
  '--log-json-info-buffer-size <size>',
  '--feature-gates <gates>',
]

/** Adds every flag of the driver. Each that help shows can be given as an environment variable too, such as PODPASS_DATA_ROOT. */
export function addDriverOptions(command: Command): Command {
  const options = [
    ...group('This node:', [
      new Option('--node-id <name>', 'name of this node').env('NODE_NAME'),
      new Option('--endpoint <address>', 'socket to serve CSI on, such as unix:///plugin/csi.sock')
        .env('CSI_ENDPOINT')
        .argParser(parseEndpoint),
      new Option('--driver-name <name>', 'name of the CSI driver').default(driverDefaults.driverName),
      dataRootOption(),
      new Option('--registration-dir <folder>', "kubelet's plugins_registry folder, to register without a sidecar"),
      new Option(
        '--pods-dir <folder>',
        "kubelet's pods folder; told from --endpoint where that lies below the kubelet's",
      ),
    ]),
    ...group('Certificates:', [
      new Option('--default-duration <duration>', 'lifetime of certificates whose volume names none')
        .argParser(parseLifetime)
        .default(standardDefaults.duration, '720h'),
      new Option('--default-layout <layout>', 'legacy adds the file names of the first csi-driver (crt.pem, key.pem)')
        .choices(['default', 'legacy'])
        .default('default'),
      new Option('--publish-timeout <duration>', 'how long a publish waits for its certificate')
        .argParser(parseLifetime)
        .default(driverDefaults.publishTimeout, '60s'),
      new Option(
        '--key-pool <number>',
        'RSA-2048 keys to keep ready, and a quarter as many of larger sizes that are asked for',
      )
        .argParser(parseCount)
        .default(driverDefaults.keyPool),
      toggle(
        'use-token-request',
        "make requests with the token of the pod's service account, whose rights then decide",
      ),
      new Option(
        '--issuers-config <file>',
        "YAML file that names the driver's own issuers, such as a Vault; it is read again when it changes",
      ),
      new Option(
        '--signer-trust <signer>',
        'SIGNER=NAMESPACE/CONFIGMAP[/KEY]: where the trust of a Kubernetes signer is, if not in its ClusterTrustBundles; repeatable',
      )
        .argParser(collected(parseConfiguredTrust))
        .default([], 'none'),
    ]),
    ...group('What is refused:', [
      toggle('require-san', 'refuse volumes without any DNS, IP or URI name'),
      toggle('require-noswap', 'refuse volumes where the kernel could write keys to swap'),
      toggle('strict-issuer', 'refuse certificates that differ in any way from what was asked for'),
    ]),
    ...group('Readiness gates:', [
      new Option(
        '--pod-readiness-gate <gate>',
        'ask for a certificate once pod-ip:any|ipv4|ipv6, pod-condition:TYPE[=STATUS] or pod-annotation:KEY holds; repeatable',
      )
        .argParser(collected(parseReadinessGate))
        .default([], 'none'),
      toggle('continue-on-not-ready', 'start pods whose readiness gates are closed with an empty volume'),
    ]),
    ...group('API server:', [...connectionOptions(), ...rateOptions()]),
    ...group('Watching it:', [
      new Option(
        '--metrics-bind-address <address>',
        'where to serve /metrics, /healthz and /readyz, such as :9402; 0 for nowhere',
      )
        .argParser(parseBindAddress)
        .default('0'),
      toggle('volume-stats', 'tell the kubelet how full and how well each volume is'),
      new Option(
        '-v, --log-level <level>',
        'debug, info, warn or error; a number as the Go driver takes it: 0 to 4 is info, 5 debug',
      )
        .argParser(parseLogLevel)
        .default('info'),
      new Option('--config <file>', 'YAML file with any of these flags, by their names'),
    ]),
    // Gates are looked at when a pod changes, not at intervals, so there is nothing to back off from.
    new Option('--gate-backoff-duration <duration>').argParser(parseDelay).hideHelp(),
    new Option('--gate-backoff-factor <number>').argParser(parseNumber).hideHelp(),
    new Option('--gate-backoff-jitter <number>').argParser(parseNumber).hideHelp(),
    new Option('--gate-backoff-cap <duration>').argParser(parseDelay).hideHelp(),
    ...withoutEffect.map((flags) => new Option(flags).hideHelp()),
  ]
  for (const option of options) {
    if (option.envVar === undefined && !option.hidden)
      option.env(`PODPASS_${option.name().toUpperCase().replaceAll('-', '_')}`)
    command.addOption(option)
  }
  return command
}
