import type { Entry, EntrySpec } from '../../spire/entry.ts'
import type { ObservedPod } from '../observed.ts'
import type { ExplainOptions, Finding, PodSurroundings } from './pod-explanation.ts'
import type { PodState } from './pod-state.ts'
import type { RegistrarPlan } from './registrar-plan.ts'
import { agentFindings } from './surrounding-findings.ts'

/** How a pod's entry stands, what was left out of it, and what others give the pod. */
export function entryFindings(pod: ObservedPod, state: PodState, { plan }: ExplainOptions): Finding[] {
  const findings: Finding[] = []
  const say = (is: Finding['is'], text: string, advice?: string): void => {
    findings.push({ about: 'entry', is, text, ...(advice !== undefined && { advice }) })
  }
  const [entry] = state.entries
  const ids = state.entries.map(({ id }) => id).join(', ')
  if (state.is === 'create') say('bad', 'the SPIRE server has no entry for it; one is to be created')
  if (state.is === 'update') say('bad', `its entry ${ids} is not as it should be, and is to be changed`)
  if (state.is === 'same') say('good', `its entry ${ids} is as it should be`)
  if (state.is === 'delete') say('bad', `its entry ${ids} is to be deleted: ${state.why}`)
  if (state.is === 'problem' && entry !== undefined)
    say('odd', `it keeps its last good entry ${ids}, ${entry.spiffeId}`)
  if (state.conflict !== undefined) {
    const { id } = state.conflict
    say(
      'bad',
      `entry ${id} has the same SPIFFE ID, parent and selectors, and is not its own`,
      `The server holds one of a kind. If nobody else needs it: spire-server entry delete -entryID ${id}`,
    )
  }
  for (const notice of state.notices) {
    const isBundle = notice.includes('has no bundle')
    say(
      'odd',
      notice,
      isBundle ? 'spire-server bundle set -id spiffe://TRUST_DOMAIN -path BUNDLE gives the server one.' : undefined,
    )
  }
  const others = plan.foreign.filter((other) => other !== state.conflict && matches(pod, other))
  for (const { id, spiffeId } of others) say('odd', `entry ${id} of somebody else's gives it ${spiffeId}, too`)
  return findings
}

/** Whether a pod has all that an entry asks for, as far as the pod's object tells. */
function matches({ namespace, name, uid, serviceAccount, nodeName }: ObservedPod, { selectors }: Entry): boolean {
  const own = new Set([
    `ns:${namespace}`,
    `pod-name:${name}`,
    `pod-uid:${uid}`,
    `sa:${serviceAccount}`,
    `node-name:${nodeName}`,
  ])
  return selectors.every(({ type, value }) => type === 'k8s' && own.has(value))
}

/** The alias that is a pod's parent, on the server or in the plan. */
export function parentSpec(
  { parentId }: EntrySpec,
  { owned, foreign, creates }: RegistrarPlan,
): { readonly spec: EntrySpec; readonly id: string | undefined } | undefined {
  const held = [...owned, ...foreign].find(({ spiffeId }) => spiffeId === parentId)
  if (held !== undefined) return { spec: held, id: held.id }
  const made = creates.find(({ spec }) => spec.spiffeId === parentId)
  return made && { spec: made.spec, id: undefined }
}

/** Whether an agent gets a pod's entry: by the entry of its parent, and by the agents that there are. */
export function nodeFindings(
  wanted: EntrySpec | undefined,
  options: ExplainOptions,
  surroundings: PodSurroundings,
): Finding[] {
  if (wanted === undefined) return []
  const { plan, config } = options
  const parent = parentSpec(wanted, plan)
  const alias: Finding =
    parent?.id !== undefined
      ? { about: 'node', is: 'good', text: `its parent ${wanted.parentId} is entry ${parent.id}` }
      : {
          about: 'node',
          is: 'bad',
          text: `its parent ${wanted.parentId} has no entry${parent === undefined ? '' : ' yet; one is to be created'}`,
          ...(parent === undefined && {
            advice: "Without it, no agent gets the entry: is the pod's node in the cluster?",
          }),
        }
  return [alias, ...(parent === undefined ? [] : agentFindings(parent.spec, config.cluster, surroundings))]
}
