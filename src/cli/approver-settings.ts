import { Option } from 'commander'
import type { ApproverSettings } from '../approver/decide.ts'
import type { PolicyLimits } from '../approver/policy/policy-problems.ts'
import { driverDefaults } from '../driver/driver.ts'
import { collect, parseLifetime } from './flag-values.ts'

/** The flags by which the approver itself is set, as commander hands them over. */
export interface ApproverFlags {
  readonly driverIdentity: readonly string[]
  readonly driverName: readonly string[]
  readonly clusterDomain: string
  /** Milliseconds. */
  readonly patience: number
  readonly allowApiserverSigners?: true
}

/** The same for the approver and for its offline commands, which must decide as it does. */
export function approverOptions(): Option[] {
  return [
    new Option(
      '--driver-identity <username>',
      'a user that may ask for pods on its own node; may be given more than once',
    )
      .argParser(collect)
      .default([], 'none'),
    new Option('--driver-name <name>', 'a CSI driver whose volumes such a user asks for; may be given more than once')
      .argParser(collect)
      .default([], driverDefaults.driverName),
    new Option('--cluster-domain <domain>', "the cluster's DNS domain").default('cluster.local'),
    new Option('--patience <duration>', 'how long a request waits for live objects before it is left alone')
      .argParser(parseLifetime)
      .default(3600_000, '1h'),
    new Option(
      '--allow-apiserver-signers',
      'let policies be for kubernetes.io/kube-apiserver-client*, whose certificates are accounts',
    ),
  ]
}

export function settingsOf(flags: ApproverFlags): ApproverSettings {
  const driverNames = flags.driverName.length === 0 ? [driverDefaults.driverName] : flags.driverName
  return {
    drivers: { identities: flags.driverIdentity, driverNames },
    clusterDomain: flags.clusterDomain,
    patience: flags.patience,
  }
}

export function limitsOf(flags: ApproverFlags): PolicyLimits {
  return { allowApiserverSigners: flags.allowApiserverSigners === true }
}
