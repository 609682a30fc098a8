import { nodeEntry } from '../desired/alias-entry.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { podEntry } from '../desired/pod-entry.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { Rendering } from '../rendering.ts'

/**
 * What the SpiffeID of a pod is to say. What follows from services and bundles is in its entry and not in the SpiffeID: it may change any
 * time.
 */
export function generatedPodRendering(rules: IdentityRules, pod: ObservedPod): Rendering {
  return podEntry(rules, pod, { addresses: [], bundles: undefined })
}

/** What the SpiffeID of a node's alias is to say. */
export function generatedNodeRendering(rules: IdentityRules, node: ObservedNode): Rendering {
  return nodeEntry(rules, node, undefined)
}
