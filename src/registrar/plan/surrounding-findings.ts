import type { Lease } from '../../kubernetes/object.ts'
import { formatGoDuration } from '../../runtime/go-duration.ts'
import type { AttestedAgent } from '../../spire/agent-service.ts'
import type { EntrySpec } from '../../spire/entry.ts'
import { formatTime } from '../../x509/chain.ts'
import type { LeaderElectionConfig } from '../config/registrar-config.ts'
import type { Finding, PodSurroundings } from './pod-explanation.ts'

/** Whether an agent runs that the alias stands for, and so gets the entries under it. */
export function agentFindings(
  { selectors }: Pick<EntrySpec, 'selectors'>,
  cluster: string,
  { agents, now }: PodSurroundings,
): Finding[] {
  const asked = selectors.map(({ type, value }) => `${type}:${value}`).join(' and ')
  if (agents === undefined) {
    return [{ about: 'node', is: 'unknown', text: `whether an agent with ${asked} is attested was not looked at` }]
  }
  if (agents.length === 0) {
    const advice = `Run a spire-agent on the node that attests with k8s_psat and the cluster ${JSON.stringify(cluster)}; spire-server agent list shows those there are.`
    return [{ about: 'node', is: 'bad', text: `no agent with ${asked} is attested`, advice }]
  }
  const working = agents.filter((agent) => !agent.banned && agent.expiresAt > now)
  return working.length > 0 ? [workingAgent(working)] : agents.map(brokenAgent)
}

function workingAgent(agents: readonly AttestedAgent[]): Finding {
  const [first] = agents
  const more = agents.length > 1 ? ` and ${agents.length - 1} more` : ''
  const until = first === undefined ? '' : `, its SVID lasts until ${formatTime(first.expiresAt)}`
  return { about: 'node', is: 'good', text: `the agent ${first?.id ?? ''}${more} is attested${until}` }
}

function brokenAgent({ id, banned, expiresAt }: AttestedAgent): Finding {
  return banned
    ? {
        about: 'node',
        is: 'bad',
        text: `the agent ${id} is banned`,
        advice: 'spire-server agent evict lets it attest again.',
      }
    : {
        about: 'node',
        is: 'bad',
        text: `the SVID of the agent ${id} has ended at ${formatTime(expiresAt)}`,
        advice: 'The agent does not run, or cannot reach the server: see its log.',
      }
}

/** Whether a registrar leads, as far as its lease tells. */
export function leaderFindings(
  { enabled, name }: LeaderElectionConfig,
  namespace: string,
  { lease, now }: PodSurroundings,
): Finding[] {
  if (lease === undefined) return []
  if (!enabled) {
    return [
      { about: 'registrar', is: 'unknown', text: 'without leader_election nothing tells whether a registrar runs' },
    ]
  }
  const holder = lease?.spec?.holderIdentity ?? ''
  if (lease === null || holder === '') {
    const advice = 'Start the registrar, or name the namespace that it runs in with --registrar-namespace.'
    const text =
      lease === null ? `there is no lease ${namespace}/${name}` : `nobody holds the lease ${namespace}/${name}`
    return [{ about: 'registrar', is: 'bad', text, advice }]
  }
  return [holderFinding(lease, holder, now)]
}

function holderFinding({ spec = {} }: Lease, holder: string, now: number): Finding {
  const renewed = Date.parse(spec.renewTime ?? '') || 0
  const silence = Math.max(0, Math.round((now - renewed) / 1000) * 1000)
  const isHeld = silence <= (spec.leaseDurationSeconds ?? 15) * 1000
  if (!isHeld) {
    const text = `${holder} led until ${formatTime(renewed)} and has not been heard of for ${formatGoDuration(silence)}`
    return { about: 'registrar', is: 'bad', text, advice: 'No registrar runs: see its Deployment and its log.' }
  }
  const since = Date.parse(spec.acquireTime ?? '')
  const age = Number.isNaN(since)
    ? ''
    : ` for ${formatGoDuration(Math.max(0, Math.round((now - since) / 1000) * 1000))}`
  return {
    about: 'registrar',
    is: 'good',
    text: `${holder} leads${age}, and was heard of ${formatGoDuration(silence)} ago`,
  }
}
