import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LogLevel } from '../runtime/log.ts'
import { type ApproverFlags, approverOptions } from './approver-settings.ts'
import { type ConnectionFlags, connectionOptions, type RateFlags, rateOptions } from './connection.ts'
import { parseBindAddress, parseBoolean, parseLifetime, parseLogLevel } from './flag-values.ts'

/** What `podpass approver` takes. Durations are milliseconds. */
export interface ApproverRunFlags extends ApproverFlags, ConnectionFlags, RateFlags {
  readonly policyDir?: string
  readonly dryRun: boolean
  readonly leaderElect: boolean
  readonly leaderElectionNamespace?: string
  readonly leaderElectionName: string
  readonly leaderElectionLeaseDuration: number
  readonly leaderElectionRenewDeadline: number
  readonly leaderElectionRetryPeriod: number
  readonly metricsBindAddress: string
  readonly logLevel: LogLevel
}

function group(heading: string, options: readonly Option[]): readonly Option[] {
  return options.map((option) => option.helpGroup(heading))
}

/** A lease counts in whole seconds. */
function parseLeaseDuration(value: string): number {
  const duration = parseLifetime(value)
  if (duration % 1000 !== 0) throw new InvalidArgumentError('It must be whole seconds.')
  return duration
}

/** Adds every flag of the running approver. */
export function addApproverRunOptions(command: Command): Command {
  const options = [
    ...group('Policies:', [
      new Option('--policy-dir <folder>', 'a folder of more policies in YAML or JSON; read again when it changes'),
      ...approverOptions(),
    ]),
    ...group('What is written:', [
      new Option('--dry-run [boolean]', 'decide and log, and write nothing at all; needs no leader election')
        .argParser(parseBoolean)
        .preset('true')
        .default(false),
    ]),
    ...group('Leader election:', [
      new Option('--leader-elect [boolean]', 'decide only while holding a Lease, so that several replicas may run')
        .argParser(parseBoolean)
        .preset('true')
        .default(true, 'true'),
      new Option('--leader-election-namespace <name>', 'namespace of the Lease').default(undefined, "the pod's own"),
      new Option('--leader-election-name <name>', 'name of the Lease').default('podpass-approver'),
      new Option('--leader-election-lease-duration <duration>', 'after how long without renewal others take over')
        .argParser(parseLeaseDuration)
        .default(15_000, '15s'),
      new Option('--leader-election-renew-deadline <duration>', 'after how long a leader that cannot renew ends')
        .argParser(parseLifetime)
        .default(10_000, '10s'),
      new Option('--leader-election-retry-period <duration>', 'how often the Lease is looked at')
        .argParser(parseLifetime)
        .default(2_000, '2s'),
    ]),
    ...group('API server:', [...connectionOptions(), ...rateOptions()]),
    ...group('Watching it:', [
      new Option(
        '--metrics-bind-address <address>',
        'where to serve /metrics, /healthz and /readyz, such as :9403; 0 for nowhere',
      )
        .argParser(parseBindAddress)
        .default('0'),
      new Option('-v, --log-level <level>', 'debug, info, warn or error; decisions are logged at every level')
        .argParser(parseLogLevel)
        .default('info'),
    ]),
  ]
  for (const option of options) command.addOption(option)
  return command
}
