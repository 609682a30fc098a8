import { status } from '@grpc/grpc-js'
import { SpireError } from '../../spire/errors.ts'

/** What is known of one item after a batch was sent. */
export type ItemAnswer<Result> =
  | { readonly is: 'answered'; readonly result: Result }
  /** The server refuses the item by itself, in a call of its own. That call carried nothing out. */
  | { readonly is: 'refused'; readonly error: SpireError }
  /** It was sent, and nobody knows whether it was carried out. */
  | { readonly is: 'unknown' }
  /** It was not carried out. */
  | { readonly is: 'unsent' }

export interface BatchAnswer<Result> {
  /** One an item, in the same order. */
  readonly answers: readonly ItemAnswer<Result>[]
  /** What stands between the registrar and the server: no further call is of use for the moment. */
  readonly trouble: unknown
}

/** The caller may not do this at all, or the server does not know the method: nothing was carried out. */
const turnedAway: ReadonlySet<number> = new Set([
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.UNIMPLEMENTED,
])
const exhausted: number = status.RESOURCE_EXHAUSTED
/** The call is too large, or one of its items spoils it. A smaller one may pass. */
const refusedWhole: ReadonlySet<number> = new Set([exhausted, status.INVALID_ARGUMENT])

/** How the parts of a batch go to the server. */
export interface BatchCall<Item, Result> {
  readonly send: (items: readonly Item[]) => Promise<readonly Result[]>
  /** Told of an item that is sent again though it may have been carried out: an answer that is too long is refused by its receiver. */
  readonly onRepeat: (item: Item) => void
}

/**
 * Sends a batch, in halves and halves of halves where the server refuses it as a whole, so that one bad item spoils nobody else's.
 * Never rejects.
 */
export async function sendBatch<Item, Result>(
  items: readonly Item[],
  call: BatchCall<Item, Result>,
): Promise<BatchAnswer<Result>> {
  if (items.length === 0) return { answers: [], trouble: undefined }
  try {
    const results = await call.send(items)
    return {
      answers: items.map((_, place) => {
        const result = results[place]
        return result === undefined ? { is: 'unknown' } : { is: 'answered', result }
      }),
      trouble: undefined,
    }
  } catch (error) {
    const code = error instanceof SpireError ? error.status : undefined
    if (code !== undefined && refusedWhole.has(code)) return await sendHalves(items, call, error as SpireError)
    const is = code !== undefined && turnedAway.has(code) ? 'unsent' : 'unknown'
    return { answers: items.map(() => ({ is })), trouble: error }
  }
}

async function sendHalves<Item, Result>(
  items: readonly Item[],
  call: BatchCall<Item, Result>,
  error: SpireError,
): Promise<BatchAnswer<Result>> {
  if (items.length === 1) {
    // A server that has no room for a single item is a server in trouble.
    const isTrouble = error.status === exhausted && error.transient
    return isTrouble
      ? { answers: [{ is: 'unknown' }], trouble: error }
      : { answers: [{ is: 'refused', error }], trouble: undefined }
  }
  if (error.status === exhausted) for (const item of items) call.onRepeat(item)
  const middle = Math.ceil(items.length / 2)
  const first = await sendBatch(items.slice(0, middle), call)
  const rest = items.slice(middle)
  if (first.trouble !== undefined) {
    return { answers: [...first.answers, ...rest.map(() => ({ is: 'unsent' }) as const)], trouble: first.trouble }
  }
  const second = await sendBatch(rest, call)
  return { answers: [...first.answers, ...second.answers], trouble: second.trouble }
}
