import { Command, Option } from 'commander'
import { ManifestError } from '../manifest/problem.ts'
import { planEntries } from '../registrar/plan/plan-entries.ts'
import { planReport, type PlanReport } from '../registrar/plan/plan-report.ts'
import { planSource } from '../registrar/plan/plan-source.ts'
import { systemClock } from '../runtime/clock.ts'
import { renderProblems } from '../try/render-problems.ts'
import { type PlanInputFlags, planInputOptions, readPlanInputs } from './registrar-plan-inputs.ts'
import { renderPlan } from './registrar-plan-render.ts'
import { lookOf } from './terminal-look.ts'

interface PlanFlags extends PlanInputFlags {
  readonly adopt: boolean
}

const nothingToDo = 0
const failed = 1
const wouldChange = 2

const examples = `
Examples:
  # What would it write, in the cluster of the kubeconfig file and on the SPIRE server of the file?
  podpass registrar plan --config registrar.conf --kubeconfig ~/.kube/config

  # The same without either
  kubectl get pods,nodes,endpointslices -A -o json > cluster.json
  spire-server entry show -output json > entries.json
  podpass registrar plan --config registrar.conf --from cluster.json --entries entries.json

  # Which identities does this file give? In CI, with manifests alone
  podpass registrar plan --config registrar.conf --from manifests/ -o json | jq '.creates[] | {object, spiffeId}'

  # Coming from spire-controller-manager or from another mode: what would become of each entry that is there?
  podpass registrar plan --config registrar.conf --adopt

Nothing is written, whatever it says.
Exit codes: 0 there is nothing to do, 2 something would be written, 1 it could not be found out.`

/** `podpass registrar plan`: everything that the registrar would write, before it does. */
export function planCommand(): Command {
  const command = new Command('plan')
    .summary('show every entry that would be created, updated or deleted; nothing is written')
    .description(
      "Compares the entries that a cluster's objects should have with those that a SPIRE server has, as the running registrar does, and " +
        'shows every create, update and delete. In the place of the cluster and of the server, files will do.',
    )
    // A mistake in the flags must not look like a change.
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? nothingToDo : failed))
  for (const option of planInputOptions()) command.addOption(option)
  return command
    .addOption(
      new Option('--adopt', "compare entries of other registrars, too, as if they were this one's")
        .default(false)
        .helpGroup('What is compared:'),
    )
    .addHelpText('after', examples)
    .action(async (flags: PlanFlags) => {
      process.exitCode = await plan(flags).catch((error: unknown) => tellFailure(error, flags))
    })
}

async function plan(flags: PlanFlags): Promise<number> {
  await using parts = new AsyncDisposableStack()
  const { signal } = new AbortController()
  const inputs = await readPlanInputs(flags, parts, signal)
  const source = planSource({ ...inputs, adopt: flags.adopt, now: systemClock.now() })
  const { config, from, warnings } = inputs
  const ids = { prefix: config.entryIdPrefix, cluster: config.cluster }
  const compared = { ...source, entries: inputs.entries, ids, fuse: config.deleteFuse, clock: systemClock }
  const report = planReport({ config, plan: await planEntries(compared, signal), source, from, warnings })
  tell(report, flags)
  return report.hasChanges ? wouldChange : nothingToDo
}

function tell(report: PlanReport, { output, color }: PlanFlags): void {
  const lines =
    output === 'json' ? [JSON.stringify(report, undefined, 2)] : renderPlan(report, lookOf(process.stdout, color))
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Everything that goes wrong is one exit code, that of no other outcome. */
export function tellFailure(error: unknown, { output, color }: Pick<PlanFlags, 'output' | 'color'>): number {
  if (error instanceof ManifestError) {
    const { problems } = error
    if (output === 'json') process.stdout.write(`${JSON.stringify({ problems }, undefined, 2)}\n`)
    else process.stderr.write(`${renderProblems(problems, lookOf(process.stdout, color), 'red').join('\n')}\n`)
    return failed
  }
  process.stderr.write(`podpass: ${error instanceof Error ? error.message : String(error)}\n`)
  return failed
}
