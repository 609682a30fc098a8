import { didYouMean } from '../../runtime/did-you-mean.ts'
import type { EntrySpec } from '../../spire/entry.ts'
import { entryFindings, nodeFindings, parentSpec } from './entry-findings.ts'
import { identityFindings } from './identity-findings.ts'
import { entryText } from './plan-report.ts'
import type { ExplainOptions, Finding, PodExplanation, PodName, PodSurroundings } from './pod-explanation.ts'
import { keysOf, type PodState, stateOf } from './pod-state.ts'
import { spiffeIdFindings } from './spiffe-id-findings.ts'
import { leaderFindings } from './surrounding-findings.ts'

/** Explains a pod's identity by the plan of its cluster. */
export function explainPod(name: PodName, options: ExplainOptions, surroundings: PodSurroundings): PodExplanation {
  const { source, config, rules } = options
  const title = `${name.namespace}/${name.name}`
  const pod = source.objects.pod(name.namespace, name.name)
  if (pod === undefined) return unknownPod(title, name, options)
  const keys = keysOf(pod, source)
  const state = stateOf(keys, options)
  const identity = identityFindings(pod, rules)
  const own = config.mode === 'crd' ? spiffeIdFindings(pod, keys, options) : []
  const isWanted = state.wanted !== undefined
  const nodes = isWanted ? nodeFindings(state.wanted, options, surroundings) : []
  const entries = entryFindings(pod, state, options)
  const registrar = leaderFindings(config.leaderElection, options.namespace, surroundings)
  const findings = [...identity, ...own, ...entries, ...nodes, ...registrar]
  const { verdict, message } = judge(state, findings)
  return {
    pod: title,
    mode: config.mode,
    verdict,
    message,
    findings,
    wanted: state.wanted && entryText(state.wanted),
    entries: state.entries.map((entry) => ({ id: entry.id, ...entryText(entry) })),
    differences: state.differences,
  }
}

/** The selectors that agents must have for a pod's entry: those of its parent; undefined where it has none. */
export function parentOf(name: PodName, { source, plan }: ExplainOptions): Pick<EntrySpec, 'selectors'> | undefined {
  const pod = source.objects.pod(name.namespace, name.name)
  const wanted = pod && stateOf(keysOf(pod, source), { source, plan }).wanted
  return wanted && parentSpec(wanted, plan)?.spec
}

function judge(state: PodState, findings: readonly Finding[]): Pick<PodExplanation, 'verdict' | 'message'> {
  const id = state.wanted?.spiffeId ?? ''
  const first = findings.find(({ is }) => is === 'bad')?.text
  switch (state.is) {
    case 'create':
      return { verdict: 'pending', message: `It is to get ${id}, and has no entry yet.` }
    case 'update':
      return { verdict: 'outdated', message: `Its entry is to be changed; then it has ${id}.` }
    case 'same': {
      const isReachable = !findings.some(({ about, is }) => about === 'node' && is === 'bad')
      return isReachable
        ? { verdict: 'registered', message: `It has the identity ${id}.` }
        : {
            verdict: 'unreachable',
            message: `It has an entry for ${id}, and no agent on its node that could hand it out.`,
          }
    }
    case 'delete':
      return {
        verdict: 'ending',
        message: `It is to have no identity, because ${state.why}; its entry is to be deleted.`,
      }
    case 'problem':
      return { verdict: 'refused', message: `It gets no new identity: ${state.why}.` }
    case 'conflict':
      return { verdict: 'conflict', message: `It cannot get ${id}: an entry of somebody else's stands in the way.` }
    case 'nothing':
      return { verdict: 'none', message: `It gets no identity, because ${first ?? state.why}.` }
    default:
      return state.is satisfies never
  }
}

function unknownPod(title: string, { namespace, name }: PodName, { source, config }: ExplainOptions): PodExplanation {
  const others = source.objects
    .pods()
    .filter((pod) => pod.namespace === namespace)
    .map((pod) => pod.name)
    .toArray()
  const guess = didYouMean(name, others)
  const elsewhere = source.objects.pods().find((pod) => pod.name === name)
  const hint =
    guess === undefined
      ? elsewhere && `There is one in the namespace ${elsewhere.namespace}: -n ${elsewhere.namespace}`
      : `Did you mean ${guess}?`
  return {
    pod: title,
    mode: config.mode,
    verdict: 'unknown',
    message: `There is no pod ${title}.`,
    findings: [{ about: 'pod', is: 'bad', text: 'there is no such pod', ...(hint !== undefined && { advice: hint }) }],
    wanted: undefined,
    entries: [],
    differences: [],
  }
}
