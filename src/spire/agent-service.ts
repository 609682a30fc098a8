import { Agent as AgentApi } from '../gen/spire/api/server/agent/v1/agent_pb.ts'
import { SelectorMatch_MatchBehavior } from '../gen/spire/api/types/types_pb.ts'
import type { Selector } from './entry.ts'
import { readId } from './entry-message.ts'
import { listPages } from './list-pages.ts'
import type { ServerClient } from './server-client.ts'

/** An agent that the server has attested. */
export interface AttestedAgent {
  /** Such as `spiffe://example.org/spire/agent/k8s_psat/demo/<uid of the node>`. */
  readonly id: string
  /** Such as `k8s_psat`. */
  readonly attestationType: string
  /** When its SVID ends, in epoch milliseconds; an agent that is at work renews it before. */
  readonly expiresAt: number
  /** What was attested of its node. */
  readonly selectors: readonly Selector[]
  readonly banned: boolean
  /** Empty where the agent has not told. */
  readonly version: string
}

/**
 * Pages of agents.
 *
 * @param selectors - only agents that have all of these; none for all agents
 * @throws {SpireError}
 */
export async function* listAgents(
  client: ServerClient,
  selectors: readonly Selector[],
  signal: AbortSignal,
): AsyncGenerator<readonly AttestedAgent[], void, void> {
  const filter =
    selectors.length === 0
      ? {}
      : {
          bySelectorMatch: {
            selectors: selectors.map(writeSelector),
            match: SelectorMatch_MatchBehavior.MATCH_SUPERSET,
          },
        }
  const outputMask = {
    attestationType: true,
    x509svidExpiresAt: true,
    selectors: true,
    banned: true,
    agentVersion: true,
  }
  const pages = listPages(
    (page) => client.call(AgentApi.method.listAgents, { filter, outputMask, ...page }, { signal, repeatable: true }),
    ({ agents }) => agents,
  )
  for await (const agents of pages) {
    yield agents.map(({ id, attestationType, x509svidExpiresAt, selectors, banned, agentVersion }) => ({
      id: readId(id),
      attestationType,
      expiresAt: Number(x509svidExpiresAt) * 1000,
      selectors: selectors.map(writeSelector),
      banned,
      version: agentVersion,
    }))
  }
}

function writeSelector({ type, value }: Selector): Selector {
  return { type, value }
}
