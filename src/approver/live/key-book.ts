import type { KeyClaim, KeyLedger, KeyOwners } from '../key-ledger.ts'

/**
 * Whose which key is: of the ledger for keys that were approved, and before that of the request that asked first. So a request that
 * somebody read and sent again under another name waits, however soon it comes and however long the first one has to wait.
 */
export class KeyBook {
  readonly #ledger: KeyLedger
  /** Open requests by the key that they ask for, in the order in which they came. */
  readonly #wanted = new Map<string, Map<string, KeyClaim>>()
  readonly #keyOfRequest = new Map<string, string>()

  constructor(ledger: KeyLedger) {
    this.#ledger = ledger
  }

  /**
   * An open request asks for a certificate of a key. Told again, its place stays.
   *
   * @param until - when it is no longer waited for, epoch milliseconds
   */
  want(request: string, keyHash: string, owner: string, until: number): void {
    if (this.#keyOfRequest.get(request) !== keyHash) this.forget(request)
    this.#keyOfRequest.set(request, keyHash)
    const requests = this.#wanted.get(keyHash) ?? new Map<string, KeyClaim>()
    requests.set(request, { owner, until })
    this.#wanted.set(keyHash, requests)
  }

  /** A request is no longer open. */
  forget(request: string): void {
    const keyHash = this.#keyOfRequest.get(request)
    if (keyHash === undefined) return
    this.#keyOfRequest.delete(request)
    const requests = this.#wanted.get(keyHash)
    requests?.delete(request)
    if (requests?.size === 0) this.#wanted.delete(keyHash)
  }

  /** Requests that ask for the key of a request, beside itself. */
  rivalsOf(request: string): readonly string[] {
    const requests = this.#wanted.get(this.#keyOfRequest.get(request) ?? '')
    return [...(requests?.keys() ?? [])].filter((other) => other !== request)
  }

  /** A certificate for the key is, or is about to be, somebody's. @returns whether it may be */
  grant(keyHash: string, owner: string, until: number, now: number): boolean {
    return this.#ledger.claim(keyHash, owner, until, now)
  }

  /** Whose keys are, as it looks to one of the requests. */
  seenBy(request: string): KeyOwners {
    return {
      claimOf: (keyHash, now) => this.#ledger.claimOf(keyHash, now) ?? this.#earlier(request, keyHash, now),
      hasRoom: (now) => this.#ledger.hasRoom(now),
    }
  }

  #earlier(request: string, keyHash: string, now: number): KeyClaim | undefined {
    for (const [other, claim] of this.#wanted.get(keyHash) ?? []) {
      if (other === request) return undefined
      if (claim.until > now) return claim
    }
    return undefined
  }
}
