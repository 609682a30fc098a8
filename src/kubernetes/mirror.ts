import type { KubernetesObject } from './object.ts'

/** What is known of one object. */
interface Entry<K> {
  readonly uid: string | undefined
  readonly resourceVersion: string | undefined
  readonly kept: K
}

/** Told of each difference between what the mirror held and what it is shown. */
export interface MirrorListener<T, K> {
  added(object: T, kept: K): void
  modified(object: T, kept: K, before: K): void
  deleted(kept: K): void
}

/**
 * Objects as last seen, reduced to what is kept of them. Whoever feeds it may show the same state twice or skip states; the listener
 * is told the differences only, and of an object that was replaced under its name both the end and the beginning.
 */
export class Mirror<T extends KubernetesObject, K> {
  readonly #transform: (object: T) => K
  readonly #listener: MirrorListener<T, K>
  readonly #entries = new Map<string, Entry<K>>()

  constructor(transform: (object: T) => K, listener: MirrorListener<T, K>) {
    this.#transform = transform
    this.#listener = listener
  }

  get size(): number {
    return this.#entries.size
  }

  get(name: string, namespace: string | undefined): K | undefined {
    return this.#entries.get(keyOf(name, namespace))?.kept
  }

  *values(): Generator<K, void, void> {
    for (const entry of this.#entries.values()) yield entry.kept
  }

  /** The object exists, in this state. Where `transform` throws, the state before stands. */
  show(object: T): void {
    const { name = '', namespace, uid, resourceVersion } = object.metadata
    const key = keyOf(name, namespace)
    const before = this.#entries.get(key)
    if (before !== undefined && before.uid === uid && before.resourceVersion === resourceVersion) return
    const kept = this.#transform(object)
    this.#entries.set(key, { uid, resourceVersion, kept })
    if (before === undefined) {
      this.#listener.added(object, kept)
    } else if (before.uid === uid) {
      this.#listener.modified(object, kept, before.kept)
    } else {
      this.#listener.deleted(before.kept)
      this.#listener.added(object, kept)
    }
  }

  /** The object no longer exists, or is no longer selected. */
  remove(object: T): void {
    const { name = '', namespace, uid } = object.metadata
    const key = keyOf(name, namespace)
    const before = this.#entries.get(key)
    if (before?.uid === uid) this.#drop(key)
  }

  /** Begins a complete look at everything there is. */
  survey(): Survey<T> {
    const seen = new Set<string>()
    return {
      show: (object) => {
        seen.add(keyOf(object.metadata.name ?? '', object.metadata.namespace))
        this.show(object)
      },
      complete: () => {
        for (const key of this.#entries.keys()) if (!seen.has(key)) this.#drop(key)
      },
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#listener.deleted(entry.kept)
  }
}

/** A look at every object. Left unfinished, it drops nothing. */
export interface Survey<T> {
  show(object: T): void
  /** All were shown: what was not is gone. */
  complete(): void
}

/** Names and namespaces hold no slash. */
function keyOf(name: string, namespace: string | undefined): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
