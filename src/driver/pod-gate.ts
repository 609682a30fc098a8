import type { PodReference } from '../issuer/issuer.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { Pod } from '../kubernetes/object.ts'
import { type Outage, Reflector } from '../kubernetes/reflector.ts'
import { pods } from '../kubernetes/resource.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { closedGates, type ReadinessGate } from './readiness-gate.ts'

/** Says whether a pod's certificate may be asked for. */
export interface PodGate {
  /** Why not yet, for people; undefined where it may. */
  closed(pod: PodReference): string | undefined
}

/** Where no gate was asked for. */
export const openGate: PodGate = { closed: () => undefined }

/** What is kept of each pod: its uid, and what stands in the way. */
interface Kept {
  readonly uid: string
  readonly closed: string | undefined
}

/** Looks at the gates of this node's pods whenever one of them changes. */
export class WatchedPodGate implements PodGate {
  readonly #reflector: Reflector<Pod, Kept>

  /** @param onChange - told the uid of a pod whose gates may have opened */
  constructor(
    gates: readonly ReadinessGate[],
    nodeId: string,
    client: KubernetesClient,
    clock: Clock,
    log: Log,
    onChange: (podUid: string) => void,
  ) {
    const told = (kept: Kept): void => onChange(kept.uid)
    this.#reflector = new Reflector({
      client,
      clock,
      log,
      resource: pods,
      fieldSelector: `spec.nodeName=${nodeId}`,
      transform: (pod) => ({ uid: pod.metadata.uid ?? '', closed: closedGates(gates, pod) }),
      handler: { added: (_pod, kept) => told(kept), modified: (_pod, kept) => told(kept) },
    })
  }

  closed({ namespace, name, uid }: PodReference): string | undefined {
    const kept = this.#reflector.get(name, namespace)
    if (kept?.uid === uid) return kept.closed
    const error = this.outage()?.error
    return error === undefined
      ? 'the pod has not been seen yet'
      : `the pods of this node cannot be read: ${error.message}`
  }

  /** Since when this node's pods have not been watched; undefined while they are. */
  outage(): Outage | undefined {
    return this.#reflector.outage
  }

  close(): Promise<void> {
    return this.#reflector.close()
  }
}
