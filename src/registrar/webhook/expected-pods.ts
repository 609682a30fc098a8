import type { Clock, Timer } from '../../runtime/clock.ts'
import type { ObservedPod } from '../observed.ts'

export interface ExpectedPodsOptions {
  /** How long a pod may take from its admission until the watch shows it, in milliseconds. */
  readonly patience: number
  readonly clock: Clock
  /** Told of a pod that never came: something behind this webhook refused it. */
  readonly onMissed: (pod: ObservedPod) => void
}

/** Pods that were admitted and have not been seen yet. */
export class ExpectedPods {
  readonly #options: ExpectedPodsOptions
  /** By namespace and name, in the order in which they are to be given up. */
  readonly #pods = new Map<string, { readonly pod: ObservedPod; readonly until: number }>()
  #timer: Timer | undefined

  constructor(options: ExpectedPodsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#pods.size
  }

  /** @returns the pod that was admitted last under a name and not seen since */
  get(namespace: string, name: string): ObservedPod | undefined {
    return this.#pods.get(`${namespace}/${name}`)?.pod
  }

  /** A pod was admitted. One that was expected under its name before is not any more: a name is created once at a time. */
  expect(pod: ObservedPod): void {
    const key = `${pod.namespace}/${pod.name}`
    const { clock, patience } = this.#options
    this.#pods.delete(key)
    this.#pods.set(key, { pod, until: clock.now() + patience })
    this.#watchClock()
  }

  /** The watch shows a pod: the expected one, one that won its name, or one that had it before and whose end is not seen yet. */
  seen(pod: ObservedPod): void {
    const key = `${pod.namespace}/${pod.name}`
    const expected = this.#pods.get(key)?.pod
    if (expected === undefined) return
    if (pod.uid === expected.uid || pod.createdAt >= expected.createdAt) this.#pods.delete(key)
  }

  close(): void {
    this.#timer?.cancel()
    this.#pods.clear()
  }

  /** One timer, for the pod that is due first. */
  #watchClock(): void {
    if (this.#timer !== undefined) return
    const [first] = this.#pods.values()
    if (first === undefined) return
    const { clock } = this.#options
    this.#timer = clock.timer(first.until - clock.now(), () => {
      this.#timer = undefined
      this.#giveUp()
      this.#watchClock()
    })
  }

  #giveUp(): void {
    const now = this.#options.clock.now()
    for (const [key, { pod, until }] of this.#pods) {
      if (until > now) return
      this.#pods.delete(key)
      this.#options.onMissed(pod)
    }
  }
}
