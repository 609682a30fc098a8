import type { Clock } from '../../runtime/clock.ts'
import { KeyLedger, type KeyOwners, ownerOf } from '../key-ledger.ts'
import type { LiveObjects } from '../live-objects.ts'
import type { Decision } from '../decide.ts'
import type { Reading } from '../request/asked-certificate.ts'
import type { RequestObject } from '../request/request-object.ts'
import { type Drivers, subjectOf } from '../subject.ts'
import { endOfLeaf, grantedKey, type GrantedKey, supposedEnd } from './granted-keys.ts'
import { KeyBook } from './key-book.ts'
import type { TrackedRequest } from './tracked-request.ts'

/** Whose the keys of all requests are, open and granted, as the objects in the API server tell it. */
export class RequestKeys {
  readonly #drivers: Drivers
  readonly #clock: Clock
  readonly #book = new KeyBook(new KeyLedger())
  /** By request, so that a certificate that comes later is not read for its key again. */
  readonly #granted = new Map<string, GrantedKey & { readonly uid: string; readonly isIssued: boolean }>()
  /** Granted requests that were seen before the objects that say for whom they were. */
  #early: Map<string, RequestObject> | undefined = new Map()

  constructor(drivers: Drivers, clock: Clock) {
    this.#drivers = drivers
    this.#clock = clock
  }

  /** Everything was seen once: whose keys the granted requests hold can be told from now on. */
  complete(live: LiveObjects): void {
    const early = this.#early
    this.#early = undefined
    for (const [key, request] of early ?? []) this.granted(key, request, live)
  }

  /** An open request that a policy is for wants a key. To be called in the order in which requests came. */
  wanted(
    { key, created }: TrackedRequest,
    request: RequestObject,
    { asked }: Reading,
    live: LiveObjects,
    patience: number,
  ): void {
    if (asked === undefined) return
    const owner = ownerOf(subjectOf(request, asked, live, this.#drivers))
    this.#book.want(key, asked.keyHash, owner, created + patience)
  }

  /** A request was granted, by whomever, or has its certificate. */
  granted(key: string, request: RequestObject, live: LiveObjects): void {
    if (this.#early !== undefined) {
      this.#early.set(key, request)
      return
    }
    const { uid = '' } = request.object.metadata
    const known = this.#granted.get(key)
    const end = endOfLeaf(request)
    const isSame = known?.uid === uid
    if (isSame && (known.isIssued || end === undefined)) return
    const found = isSame ? known : grantedKey(request, live, this.#drivers)
    if (found === undefined) return
    const { keyHash, owner } = found
    const now = this.#clock.now()
    this.#granted.set(key, { keyHash, owner, uid, isIssued: end !== undefined })
    this.#book.grant(keyHash, owner, end ?? supposedEnd(undefined, now), now)
  }

  /**
   * A request is about to be granted. To be called right after the decision, before anything else can happen.
   *
   * @param until - the end of the leaf, epoch milliseconds. @default what the request asks for
   * @returns whether the key may be its owner's
   */
  grant(
    key: string,
    request: RequestObject,
    { asked, owner }: Pick<Decision, 'asked' | 'owner'>,
    until?: number,
  ): boolean {
    if (asked === undefined) return false
    const now = this.#clock.now()
    if (!this.#book.grant(asked.keyHash, owner, until ?? supposedEnd(asked.duration, now), now)) return false
    const { uid = '' } = request.object.metadata
    this.#granted.set(key, { keyHash: asked.keyHash, owner, uid, isIssued: false })
    return true
  }

  /** A request is not open any more. @returns requests that want the same key */
  closed(key: string): readonly string[] {
    const rivals = this.#book.rivalsOf(key)
    this.#book.forget(key)
    return rivals
  }

  /** A request is gone; the ledger keeps its key until the certificate ends. */
  forget(key: string): void {
    this.#granted.delete(key)
    this.#early?.delete(key)
  }

  /** Whose keys are, as it looks to one of the requests. */
  seenBy(key: string): KeyOwners {
    return this.#book.seenBy(key)
  }
}
