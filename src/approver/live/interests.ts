import type { ClusterChange } from './cluster-view.ts'

/** Objects that a waiting request waits for, each as one text. */
export const interest = {
  pod: (namespace: string, name: string): string => `pod/${namespace}/${name}`,
  /** Any pod of a node: a driver's request names its pod by a volume. */
  podsOfNode: (node: string): string => `pods/${node}`,
  node: (name: string): string => `node/${name}`,
  /** Services, service accounts and the namespace itself. */
  namespace: (name: string): string => `namespace/${name}`,
} as const

/** Who is to be looked at again after which change. */
export class Interests {
  readonly #followers = new Map<string, Set<string>>()
  readonly #topics = new Map<string, ReadonlySet<string>>()

  /** How many follow something. */
  get size(): number {
    return this.#topics.size
  }

  /** From now on a follower has these interests, and no others. */
  set(follower: string, topics: ReadonlySet<string>): void {
    this.delete(follower)
    if (topics.size === 0) return
    this.#topics.set(follower, topics)
    for (const topic of topics) {
      const followers = this.#followers.get(topic) ?? new Set()
      followers.add(follower)
      this.#followers.set(topic, followers)
    }
  }

  delete(follower: string): void {
    for (const topic of this.#topics.get(follower) ?? []) {
      const followers = this.#followers.get(topic)
      followers?.delete(follower)
      if (followers?.size === 0) this.#followers.delete(topic)
    }
    this.#topics.delete(follower)
  }

  /** Whom a change is about. */
  of(change: ClusterChange): ReadonlySet<string> {
    const concerned = new Set<string>()
    for (const topic of topicsOf(change))
      for (const follower of this.#followers.get(topic) ?? []) concerned.add(follower)
    return concerned
  }
}

function topicsOf(change: ClusterChange): readonly string[] {
  switch (change.kind) {
    case 'Pod':
      return [
        interest.pod(change.namespace, change.name),
        ...(change.node === undefined ? [] : [interest.podsOfNode(change.node)]),
      ]
    case 'Node':
      return [interest.node(change.name)]
    case 'Namespace':
      return [interest.namespace(change.name)]
  }
}
