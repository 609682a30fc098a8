import type { Pod } from '../../kubernetes/object.ts'
import type { Clock } from '../../runtime/clock.ts'
import { differingFields } from '../desired/compare.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { podEntry } from '../desired/pod-entry.ts'
import { keptKeys, observePod } from '../observe.ts'
import type { ObservedPod } from '../observed.ts'
import type { EntrySpec } from '../../spire/entry.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import { ExpectedPods } from './expected-pods.ts'
import type { Registration } from './pod-admission.ts'

export interface PodRegistrationsOptions {
  readonly rules: () => IdentityRules
  /** The pod is not what it was: the synchronisation looks at it, and tells of the outcome. */
  readonly onChange: (namespace: string, name: string) => void
  readonly clock: Clock
}

/** How long a pod may take from its admission until the watch shows it, in milliseconds. */
const patience = 60_000

/** Somebody who waits for the entry of a pod. */
interface Waiter {
  readonly spec: EntrySpec
  readonly resolve: (registration: Registration) => void
}

/**
 * Registers pods while they are admitted: they are handed to the synchronisation as if they were there, and what becomes of them is waited
 * for. A pod that then does not come is forgotten after a minute, and its entry goes.
 */
export class PodRegistrations {
  /** Whether this process writes. Where it does not, the one that does sees the pod a moment later. */
  isLeading = false
  readonly #options: PodRegistrationsOptions
  readonly #expected: ExpectedPods
  readonly #waiters = new Map<string, Set<Waiter>>()

  constructor(options: PodRegistrationsOptions) {
    this.#options = options
    const { clock, onChange } = options
    this.#expected = new ExpectedPods({
      patience,
      clock,
      onMissed: ({ namespace, name }) => onChange(namespace, name),
    })
  }

  /** A pod that was admitted and has not been seen yet. */
  expected(namespace: string, name: string): ObservedPod | undefined {
    return this.#expected.get(namespace, name)
  }

  /** The watch shows a pod. */
  seen(pod: ObservedPod): void {
    this.#expected.seen(pod)
  }

  /** The synchronisation has looked at a pod. */
  settled(namespace: string, name: string, outcome: KeyOutcome): void {
    for (const { spec, resolve } of this.#waiters.get(`${namespace}/${name}`) ?? []) {
      const registration = registrationOf(outcome, spec)
      if (registration !== undefined) resolve(registration)
    }
  }

  /**
   * Makes the entry of a pod that does not exist yet.
   *
   * @param signal - ends the wait, not the making
   */
  async register(pod: Pod, signal: AbortSignal): Promise<Registration> {
    const rules = this.#options.rules()
    // Where a pod's parent is its node, there is nothing to be made before it has one.
    if (!this.isLeading || rules.parents === 'node') return { is: 'none' }
    const observed = observePod(pod, keptKeys(rules))
    const rendering = podEntry(rules, observed, { addresses: [], bundles: undefined })
    if (rendering.is !== 'entry') return rendering.is === 'none' ? { is: 'none' } : rendering
    const { namespace, name } = observed
    const settled = this.#wait(`${namespace}/${name}`, rendering.spec, signal)
    this.#expected.expect(observed)
    this.#options.onChange(namespace, name)
    return await settled
  }

  close(): void {
    this.#expected.close()
  }

  #wait(pod: string, spec: EntrySpec, signal: AbortSignal): Promise<Registration> {
    const { promise, resolve, reject } = Promise.withResolvers<Registration>()
    const waiter: Waiter = { spec, resolve }
    const waiters = this.#waiters.get(pod) ?? new Set()
    this.#waiters.set(pod, waiters.add(waiter))
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    return promise.finally(() => {
      signal.removeEventListener('abort', onAbort)
      waiters.delete(waiter)
      if (waiters.size === 0 && this.#waiters.get(pod) === waiters) this.#waiters.delete(pod)
    })
  }
}

/** @returns undefined where the outcome is another one's: of the pod that had the name before */
function registrationOf(outcome: KeyOutcome, spec: EntrySpec): Registration | undefined {
  switch (outcome.is) {
    case 'registered': {
      // A bundle that the server lacks keeps no pod from its identity.
      const differing = differingFields(outcome.entry, spec).filter((field) => field !== 'federatesWith')
      return differing.length === 0 ? { is: 'registered' } : undefined
    }
    case 'problem':
      return { is: 'problem', problem: outcome.problem }
    case 'conflict':
      return { is: 'problem', problem: `the SPIRE entry ${outcome.by.id} of somebody else is the same` }
    case 'failed':
      return { is: 'problem', problem: outcome.message }
    case 'ending':
    case 'unregistered':
      return undefined
    default:
      return outcome satisfies never
  }
}
