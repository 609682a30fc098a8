import { type Identity, identityText } from '../desired/identity-text.ts'

/** Who asks for an identity. */
export interface Claimant {
  /** Of the resource. */
  readonly key: string
  readonly uid: string
  /** Epoch milliseconds. */
  readonly createdAt: number
}

/**
 * Which resources ask for the same SPIFFE ID with the same parent and selectors. The server has one entry for all of them: the oldest
 * resource holds it, and if it goes, the next one does.
 */
export class IdentityHolders {
  /** By identity, the oldest first; nearly always one. */
  readonly #claimants = new Map<string, readonly Claimant[]>()
  /** By key of the resource. */
  readonly #identities = new Map<string, string>()

  /**
   * A resource asks for an identity, and for none that it asked for before.
   *
   * @param identity - undefined where it asks for none
   * @returns the keys of other resources that hold something else than before
   */
  claim(claimant: Claimant, identity: Identity | undefined): readonly string[] {
    const text = identity && identityText(identity)
    const before = this.#identities.get(claimant.key)
    const isSame = text === before && this.#of(text).some(({ uid }) => uid === claimant.uid)
    if (isSame) return []
    const changed = this.release(claimant.key)
    if (text === undefined) return changed
    const displaced = this.#of(text)
    const claimants = [...displaced, claimant].toSorted(byAge)
    this.#claimants.set(text, claimants)
    this.#identities.set(claimant.key, text)
    return [...changed, ...(claimants[0] === claimant ? displaced.map(({ key }) => key) : [])]
  }

  /**
   * A resource asks for nothing any more.
   *
   * @returns the keys of other resources that hold something else than before
   */
  release(key: string): readonly string[] {
    const text = this.#identities.get(key)
    if (text === undefined) return []
    this.#identities.delete(key)
    const before = this.#of(text)
    const rest = before.filter((claimant) => claimant.key !== key)
    if (rest.length === 0) this.#claimants.delete(text)
    else this.#claimants.set(text, rest)
    return before[0]?.key === key ? rest.map((claimant) => claimant.key) : []
  }

  /** @returns the key of the resource that holds an identity; undefined where none asks for it */
  holder(identity: Identity): string | undefined {
    return this.#of(identityText(identity))[0]?.key
  }

  #of(text: string | undefined): readonly Claimant[] {
    return text === undefined ? [] : (this.#claimants.get(text) ?? [])
  }
}

/** Of two resources of the same second, whose order is unknown, every process has to choose the same: the first by name. */
function byAge(one: Claimant, other: Claimant): number {
  return one.createdAt - other.createdAt || (one.key < other.key ? -1 : 1)
}
