import { Command, Option } from 'commander'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { ApiError } from '../kubernetes/errors.ts'
import type { Lease, ObjectName } from '../kubernetes/object.ts'
import { leases } from '../kubernetes/resource.ts'
import { ManifestError } from '../manifest/problem.ts'
import { explainPod, parentOf } from '../registrar/plan/explain-pod.ts'
import { planEntries } from '../registrar/plan/plan-entries.ts'
import { planSource } from '../registrar/plan/plan-source.ts'
import type { ExplainOptions, PodName } from '../registrar/plan/pod-explanation.ts'
import { systemClock } from '../runtime/clock.ts'
import { type AttestedAgent, listAgents } from '../spire/agent-service.ts'
import type { ServerClient } from '../spire/server-client.ts'
import { renderExplanation } from './registrar-explain-render.ts'
import { tellFailure } from './registrar-plan.ts'
import { type PlanInputFlags, planInputOptions, readPlanInputs } from './registrar-plan-inputs.ts'
import { lookOf } from './terminal-look.ts'
import { UsageError } from './usage-error.ts'

interface ExplainFlags extends PlanInputFlags {
  readonly namespace?: string
}

const noSuchPod = 1
const invalidInput = 2

const examples = `
Examples:
  podpass registrar explain shop/web-0 --config registrar.conf --kubeconfig ~/.kube/config
  podpass registrar explain web-0 -n shop --config registrar.conf

  # Without a cluster; what only a SPIRE server knows is then left out
  kubectl get pods,nodes,endpointslices -A -o json > cluster.json
  podpass registrar explain shop/web-0 --config registrar.conf --from cluster.json --entries entries.json

Nothing is written.
Exit codes: 0 the pod was explained, whether it has an identity or not, 1 there is no such pod, or it could not be looked at, 2 the
arguments or the files cannot be used.`

/** `podpass registrar explain`: why a pod has, or has not, an identity. */
export function explainPodCommand(): Command {
  const command = new Command('explain')
    .summary('show why a pod has or has not an identity, and what to do')
    .description(
      'Shows what the identity of a pod rests on: the rules of the configuration, its entry, its parent, the agent on its node and the ' +
        'registrar that leads; then what comes of it, and what to do.',
    )
    .argument('<pod>', '[NAMESPACE/]NAME')
    .addOption(new Option('-n, --namespace <name>', 'namespace of the pod').default(undefined, 'default'))
  for (const option of planInputOptions()) command.addOption(option)
  return command.addHelpText('after', examples).action(async (pod: string, flags: ExplainFlags) => {
    process.exitCode = await explain(pod, flags).catch((error: unknown) => {
      if (!(error instanceof ManifestError)) throw error
      tellFailure(error, flags)
      return invalidInput
    })
  })
}

async function explain(pod: string, flags: ExplainFlags): Promise<number> {
  const name = podName(pod, flags.namespace)
  await using parts = new AsyncDisposableStack()
  const { signal } = new AbortController()
  const inputs = await readPlanInputs(flags, parts, signal)
  const { config, rules, namespace, client, server } = inputs
  const now = systemClock.now()
  const source = planSource({ ...inputs, adopt: false, now })
  const ids = { prefix: config.entryIdPrefix, cluster: config.cluster }
  const compared = { ...source, entries: inputs.entries, ids, fuse: config.deleteFuse, clock: systemClock }
  const options: ExplainOptions = { config, rules, namespace, source, plan: await planEntries(compared, signal) }
  const lease = client && (await readLease(client, { namespace, name: config.leaderElection.name }, signal))
  const agents = server && (await agentsOf(server, parentOf(name, options)?.selectors, signal))
  const explanation = explainPod(name, options, { agents, lease, now })
  const lines =
    flags.output === 'json'
      ? [JSON.stringify(explanation, undefined, 2)]
      : renderExplanation(explanation, lookOf(process.stdout, flags.color))
  process.stdout.write(`${lines.join('\n')}\n`)
  return explanation.verdict === 'unknown' ? noSuchPod : 0
}

/** @throws {UsageError} */
function podName(text: string, namespace: string | undefined): PodName {
  const [first = '', second, ...rest] = text.replace(/^pods?\//, '').split('/')
  const isWhole = second !== undefined
  if (first === '' || second === '' || rest.length > 0) throw new UsageError(`${text}: it must be [NAMESPACE/]NAME`)
  if (isWhole && namespace !== undefined && namespace !== first) {
    throw new UsageError(`${text} is in the namespace ${first}, and --namespace says ${namespace}`)
  }
  return isWhole ? { namespace: first, name: second } : { namespace: namespace ?? 'default', name: first }
}

/** @returns null where there is none, undefined where it may not be read */
async function readLease(
  client: Pick<KubernetesClient, 'get'>,
  name: ObjectName,
  signal: AbortSignal,
): Promise<Lease | null | undefined> {
  try {
    return await client.get(leases, name, { signal })
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null
    if (error instanceof ApiError && error.status === 403) return undefined
    throw error
  }
}

/** Those that have what an alias asks for. An alias that asks for nothing stands for none. */
async function agentsOf(
  server: ServerClient,
  selectors: Parameters<typeof listAgents>[1] | undefined,
  signal: AbortSignal,
): Promise<readonly AttestedAgent[] | undefined> {
  if (selectors === undefined || selectors.length === 0) return undefined
  const agents: AttestedAgent[] = []
  for await (const page of listAgents(server, selectors, signal)) agents.push(...page)
  return agents
}
