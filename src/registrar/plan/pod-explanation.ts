import type { Lease } from '../../kubernetes/object.ts'
import type { AttestedAgent } from '../../spire/agent-service.ts'
import type { RegistrarConfig } from '../config/registrar-config.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import type { EntryText } from './plan-report.ts'
import type { PlanSource } from './plan-source.ts'
import type { RegistrarPlan } from './registrar-plan.ts'

/** Something that a pod's identity rests on, and how it stands. */
export interface Finding {
  readonly about: 'pod' | 'identity' | 'SpiffeID' | 'entry' | 'node' | 'registrar'
  /** `odd` takes something away from the identity; `unknown` could not be looked at. */
  readonly is: 'good' | 'bad' | 'odd' | 'unknown'
  /** A sentence without its end. */
  readonly text: string
  /** What a person can do about it; undefined where nothing is to be done or known. */
  readonly advice?: string
}

/** Why a pod has, or has not, an identity. For scripts, too: fields may be added. */
export interface PodExplanation {
  /** `<namespace>/<name>`. */
  readonly pod: string
  readonly mode: RegistrarConfig['mode']
  readonly verdict: Verdict
  /** A sentence. */
  readonly message: string
  readonly findings: readonly Finding[]
  /** The entry that it should have; undefined where it should have none, or that cannot be told. */
  readonly wanted: EntryText | undefined
  /** The entries that the server has for it. */
  readonly entries: readonly ({ readonly id: string } & EntryText)[]
  /** How its entry is to be changed, a line a field. */
  readonly differences: readonly string[]
}

/**
 * - `registered`: it has the entry that it should have, and an agent that can hand the identity out.
 * - `unreachable`: it has its entry, and no agent for it.
 * - `pending`: its entry is to be created. `outdated`: its entry is to be changed. `ending`: its entry is to be deleted.
 * - `refused`: it asks for what it may not have. `conflict`: somebody else's entry stands in the way.
 * - `none`: it is to have none. `unknown`: there is no such pod.
 */
export type Verdict =
  | 'registered'
  | 'unreachable'
  | 'pending'
  | 'outdated'
  | 'ending'
  | 'refused'
  | 'conflict'
  | 'none'
  | 'unknown'

/** What is not in a plan; all of it undefined where it was not looked at. */
export interface PodSurroundings {
  /** The agents that have what the pod's parent asks for. */
  readonly agents: readonly AttestedAgent[] | undefined
  /** The registrar's lease: null where there is none. */
  readonly lease: Lease | null | undefined
  /** Epoch milliseconds. */
  readonly now: number
}

export interface ExplainOptions {
  readonly config: RegistrarConfig
  readonly rules: IdentityRules
  /** The registrar's own. */
  readonly namespace: string
  readonly source: PlanSource
  readonly plan: RegistrarPlan
}

/** A pod by its name. */
export interface PodName {
  readonly namespace: string
  readonly name: string
}
