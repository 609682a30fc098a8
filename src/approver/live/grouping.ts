import type { KubernetesObject } from '../../kubernetes/object.ts'

/** Objects by what they have in common, such as their node. */
export class Grouping<T extends KubernetesObject> {
  readonly #groups = new Map<string, Map<string, T>>()

  /** Puts an object in the place of the one of its name. Without a group it is in none. */
  add(group: string | undefined, object: T): void {
    if (group === undefined) return
    const members = this.#groups.get(group) ?? new Map<string, T>()
    members.set(keyOf(object), object)
    this.#groups.set(group, members)
  }

  remove(group: string | undefined, object: T): void {
    if (group === undefined) return
    const members = this.#groups.get(group)
    members?.delete(keyOf(object))
    if (members?.size === 0) this.#groups.delete(group)
  }

  of(group: string): readonly T[] {
    return [...(this.#groups.get(group)?.values() ?? [])]
  }
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`
}
