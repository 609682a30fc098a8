import { randomUUID } from 'node:crypto'
import { constants } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import { driverDefaults } from '../driver/driver.ts'
import { systemClock } from '../runtime/clock.ts'
import {
  type Ground,
  InterruptedError,
  abandonGround,
  type PreparedGround,
  currentGround,
  endingSignal,
  grounds,
  groundsFor,
  prepareGround,
  runOnGround,
} from '../try/ground.ts'
import { plural } from '../try/look.ts'
import { Narrator } from '../try/narrator.ts'
import { type Plan, planPods } from '../try/plan.ts'
import { type PlayOptions, play } from '../try/play.ts'
import { ManifestError } from '../manifest/problem.ts'
import { renderProblems } from '../try/render-problems.ts'
import { type TryReport, reportProblems, reportSteps } from '../try/report.ts'
import { readSources } from '../manifest/source.ts'
import { stageDefaults } from '../try/stage.ts'
import type { Step } from '../try/step.ts'
import { playedVault, type VaultFlags, vaultOptions } from './try-vault.ts'
import { lookOf } from './terminal-look.ts'
import { programVersion } from './version.ts'
import { DurationError, parseGoDuration } from '../runtime/go-duration.ts'

interface TryOptions extends VaultFlags {
  readonly keep?: true
  readonly json?: true
  /** Milliseconds. */
  readonly lifetime: number
  readonly renewal: boolean
  readonly color: boolean
  readonly ground?: Ground
}

/** What is wrong with what was given: its own exit code, so that scripts can tell it from trouble on the way. */
const invalidInput = 2
const failure = 1

const examples = `
Examples:
  podpass try pod.yaml                       what each pod of a manifest would see
  podpass try --keep deployment.yaml         leave it running, to look around
  helm template ./chart | podpass try -      whatever makes manifests
  podpass try --issuer vault --vault-addr https://vault.example:8200 \
    --vault-token-file token --vault-role pods pod.yaml
                                             the same with certificates of a Vault
  podpass try --json pod.yaml | jq .volumes  for scripts

Exit codes: 0 all is as it must be, 1 something is not, 2 the manifest cannot be used.`

/** `podpass try`: the real driver at work on a manifest's volumes, without a cluster. */
export function tryCommand(): Command {
  const command = new Command('try')
    .summary('show the driver at work on a manifest, without a cluster')
    .description(
      'Runs the real driver with an embedded CA and plays the kubelet for every pod of the manifests: publishes their volumes, ' +
        'shows what each pod sees, connects two of them by mutual TLS, waits for a renewal, and unpublishes.',
    )
    .argument('<file...>', 'manifests in YAML or JSON; - is standard input')
    .option('--keep', 'leave it running at the end, until Ctrl-C')
    .option('--json', 'print one JSON document and nothing else')
    .addOption(
      new Option('--lifetime <duration>', 'how long certificates live at most')
        .argParser(parseLifetime)
        .default(20_000, '20s'),
    )
    .option('--no-renewal', 'do not wait for a renewal')
    .option('--no-color', 'no colours, as with NO_COLOR; they are only used on a terminal')
    .addOption(
      new Option('--ground <ground>', 'where to run, in the place of the best that is allowed')
        .choices(grounds)
        .hideHelp(),
    )
  for (const option of vaultOptions()) command.addOption(option)
  return command.addHelpText('after', examples).action(async (files: string[], options: TryOptions) => {
    const here = currentGround(process.env, process.connected)
    process.exitCode = here === undefined ? await startOnGround(options) : await run(files, options, here)
  })
}

/** Starts this same command again where its mounts are its own. */
async function startOnGround({ ground }: TryOptions): Promise<number> {
  const [node = process.execPath, script = '', ...rest] = process.argv
  const prepared = await prepareGround(ground === undefined ? groundsFor(process.geteuid?.()) : [ground])
  const ended = await runOnGround(prepared, [node, ...process.execArgv, script, ...rest])
  if (typeof ended === 'number') return ended
  process.kill(process.pid, ended)
  return exitCodeOf(ended)
}

async function run(files: readonly string[], options: TryOptions, prepared: PreparedGround): Promise<number> {
  const issuer = await playedVault(options, systemClock)
  let plan: Plan
  try {
    plan = planPods(await readSources(files, process.stdin), {
      driver: driverDefaults.driverName,
      defaults: stageDefaults(options.lifetime),
      chance: { random: Math.random, uid: randomUUID, now: systemClock.now() },
    })
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    refuse(error, options)
    return invalidInput
  }
  // Until here a signal simply ends the process; from here on there is something to take down.
  return perform(plan, options, { prepared, issuer }, endingSignal())
}

async function perform(
  plan: Plan,
  options: TryOptions,
  { prepared, issuer }: Pick<PlayOptions, 'prepared' | 'issuer'>,
  signal: AbortSignal,
): Promise<number> {
  const { lifetime, renewal, keep = false, json = false } = options
  const started = performance.now()
  const steps: Step[] = []
  const look = lookOf(process.stdout, options.color)
  const narrator = json ? undefined : new Narrator(process.stdout, look, process.stdout.isTTY)
  narrator?.notes(plan.notes)
  const tell = (step: Step): void => {
    if (step.is !== 'waiting') steps.push(step)
    narrator?.tell(step)
    if (json && step.is === 'kept') print(reportSteps(steps, plan.notes))
  }
  const driver = { driverName: driverDefaults.driverName, version: programVersion }
  await play(plan, { ...driver, prepared, issuer, lifetime, renewal, keep, clock: systemClock }, tell, signal)
  await abandonGround(prepared)
  const wasKept = steps.some(({ is }) => is === 'kept')
  const interruption = !wasKept && signal.reason instanceof InterruptedError ? signal.reason.signal : undefined
  const report = reportSteps(steps, plan.notes, interruption)
  if (json && !wasKept) print(report)
  narrator?.finish(performance.now() - started, interruption !== undefined)
  if (interruption !== undefined) return exitCodeOf(interruption)
  return report.ok ? 0 : failure
}

function refuse({ problems }: ManifestError, options: TryOptions): void {
  if (options.json) {
    print(reportProblems(problems))
    return
  }
  const lines = renderProblems(problems, lookOf(process.stderr, options.color), 'red')
  process.stderr.write(`${lines.join('\n')}\n\n${plural(problems.length, 'problem')}; nothing was started.\n`)
}

function print(report: TryReport): void {
  process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
}

/** What a shell reports for a process that a signal ended. */
function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + (constants.signals[signal] ?? 0)
}

/** Below this, issuing takes a visible part of the lifetime; above it, nothing is tried out. */
const shortestLifetime = 5000
const longestLifetime = 8760 * 3600_000

function parseLifetime(text: string): number {
  try {
    const lifetime = parseGoDuration(text)
    if (lifetime >= shortestLifetime && lifetime <= longestLifetime) return lifetime
  } catch (error) {
    if (!(error instanceof DurationError)) throw error
  }
  throw new InvalidArgumentError('It must be a duration from 5s to 8760h, such as 30s or 1h30m.')
}
