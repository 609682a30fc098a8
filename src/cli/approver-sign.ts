import { Command, InvalidArgumentError, Option } from 'commander'
import { readSignSettings } from '../approver/sign/sign-settings.ts'
import type { ObjectName } from '../kubernetes/object.ts'
import type { Problem } from '../manifest/problem.ts'
import type { LogLevel } from '../runtime/log.ts'
import { renderProblems } from '../try/render-problems.ts'
import { readDocuments } from './approver-inputs.ts'
import { type ApproverFlags, approverOptions } from './approver-settings.ts'
import { type ConnectionFlags, connectionOptions } from './connection.ts'
import { parseDelay, parseLogLevel } from './flag-values.ts'
import { lookOf } from './terminal-look.ts'

/** The flags of `podpass approver sign`, as commander hands them over. */
export interface SignFlags extends ApproverFlags, ConnectionFlags {
  readonly signConfig: string
  readonly policyDir?: string
  /** Milliseconds. */
  readonly trustPropagation: number
  readonly trustPcrCreators?: true
  readonly lease: ObjectName
  readonly metricsBindAddress: string
  readonly logLevel: LogLevel
}

const invalidInput = 2

const examples = `
Examples:
  # Sign what others approve, and the requests of pods that the cluster's CertificatePolicies allow
  podpass approver sign --sign-config signers.yaml

See docs/approver-signing.md for the file, the rights that it needs and how to change a CA.
SIGTERM and SIGINT end it: what is being written is finished, then another replica may lead.`

/** `podpass approver sign`: the signer of CertificateSigningRequests and PodCertificateRequests for signer names of one's own. */
export function signCommand(): Command {
  const command = new Command('sign')
    .summary('sign approved requests, and those of pods by policy, and publish trust')
    .description('Signs for signer names of your own, and publishes the trust in them before any leaf that needs it.')
    .addOption(new Option('--sign-config <file>', 'the signers: names, CAs, limits').makeOptionMandatory())
    .addOption(
      new Option('--policy-dir <folder>', 'a folder of more policies in YAML or JSON; read again when it changes'),
    )
    .addOption(
      new Option('--trust-propagation <duration>', 'how long a new root is published before it signs')
        .argParser(parseDelay)
        .default(300_000, '5m'),
    )
    .addOption(
      new Option('--trust-pcr-creators', 'sign for pods although no admission policy binds who asks to its node'),
    )
    .addOption(
      new Option('--lease <namespace/name>', 'the Lease that the replicas stand for')
        .argParser(parseObjectName)
        .default({ namespace: 'podpass', name: 'podpass-signer' }, 'podpass/podpass-signer'),
    )
    .addOption(
      new Option('--metrics-bind-address <address>', 'where metrics and probes are served; 0 for nowhere').default(
        ':9403',
      ),
    )
    .addOption(new Option('--log-level <level>', 'debug, info, warn or error').argParser(parseLogLevel).default('info'))
    .addHelpText('after', examples)
  for (const option of [...approverOptions(), ...connectionOptions()]) command.addOption(option)
  return command.action(async (flags: SignFlags) => {
    const { documents, problems: unread } = await readDocuments([flags.signConfig])
    const [document, second] = documents
    const { signers, problems } = document === undefined ? { signers: [], problems: [] } : readSignSettings(document)
    const surplus =
      second === undefined ? [] : [{ location: second.location, message: 'is a second document: give one' }]
    const absent =
      document === undefined && unread.length === 0
        ? [{ location: { source: flags.signConfig }, message: 'is empty' }]
        : []
    const all = [...unread, ...problems, ...surplus, ...absent]
    if (all.length > 0) {
      refuse(all)
      return
    }
    // Loaded when it runs: the other commands need none of it.
    const { runSigners } = await import('./approver-sign-run.ts')
    await runSigners(signers, flags)
  })
}

function refuse(problems: readonly Problem[]): void {
  process.stderr.write(`${renderProblems(problems, lookOf(process.stderr, true), 'red').join('\n')}\n`)
  process.exitCode = invalidInput
}

function parseObjectName(value: string): ObjectName {
  const [, namespace, name] = /^([a-z0-9.-]+)\/([a-z0-9.-]+)$/.exec(value) ?? []
  if (namespace === undefined || name === undefined) throw new InvalidArgumentError('It must be namespace/name.')
  return { namespace, name }
}
