import type { Subject } from './subject.ts'

/** Who first used a key, and until when it may be in use. */
export interface KeyClaim {
  readonly owner: string
  /** The end of the latest leaf that holds the key, epoch milliseconds. */
  readonly until: number
}

/** What a decision looks up. */
export interface KeyOwners {
  /** @param keyHash - SHA-256 of the SubjectPublicKeyInfo, hexadecimal */
  claimOf(keyHash: string, now: number): KeyClaim | undefined
  /** Whether there is room for one more key; without room nobody can be granted a new one. */
  hasRoom(now: number): boolean
}

/** The one to whom a key belongs: the subject pod by its UID, else the service account by its, else the username. */
export function ownerOf({ pod, serviceAccount, namespace, requester }: Subject): string {
  if (pod !== undefined) return `pod/${pod.uid}`
  if (serviceAccount?.uid !== undefined) return `serviceAccount/${serviceAccount.uid}`
  if (serviceAccount !== undefined) return `serviceAccount/${namespace}/${serviceAccount.name}`
  return `user/${requester?.username ?? ''}`
}

/** About 200 bytes each. */
const mostKeys = 250_000

/**
 * Remembers which key belongs to whom while a leaf with it may be in use, so that a request which somebody could read is not granted
 * to somebody else. A request has no nonce: its signature proves that its maker has the key, and not that its sender has.
 *
 * It is memory alone, rebuilt from live requests at a start. What it does not know: keys of requests that are deleted already, and
 * those of other clusters. Where it is full, keys that it does not know are not granted until some have ended.
 */
export class KeyLedger implements KeyOwners {
  readonly #claims = new Map<string, KeyClaim>()
  readonly #capacity: number

  constructor(capacity: number = mostKeys) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#claims.size
  }

  claimOf(keyHash: string, now: number): KeyClaim | undefined {
    const claim = this.#claims.get(keyHash)
    return claim !== undefined && claim.until > now ? claim : undefined
  }

  hasRoom(now: number): boolean {
    if (this.#claims.size < this.#capacity) return true
    this.#forgetEnded(now)
    return this.#claims.size < this.#capacity
  }

  /**
   * Notes that a key belongs to an owner, or stays with who has it. The first owner wins whatever comes later.
   *
   * @param until - the end of the leaf, epoch milliseconds
   * @returns whether it belongs to this owner now
   */
  claim(keyHash: string, owner: string, until: number, now: number): boolean {
    const held = this.claimOf(keyHash, now)
    if (held !== undefined && held.owner !== owner) return false
    if (held === undefined && !this.#claims.has(keyHash) && !this.hasRoom(now)) return false
    this.#claims.set(keyHash, { owner, until: Math.max(until, held?.until ?? 0) })
    return true
  }

  #forgetEnded(now: number): void {
    for (const [keyHash, { until }] of this.#claims) if (until <= now) this.#claims.delete(keyHash)
  }
}
