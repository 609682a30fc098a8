import { grpcStatus } from '../runtime/grpc-status.ts'
import { SpireError } from './errors.ts'

/** How much a page of a listing holds: a server without a limit puts everything into one message, which no client takes. */
const pageSize = 1000

/** What a listing answers. */
interface Page {
  readonly nextPageToken: string
}

type Ask<Answer> = (page: { readonly pageSize: number; readonly pageToken: string }) => Promise<Answer>

/**
 * Reads a listing page by page, until one comes without a token: a short page is not the last one, as the server looks at some filters
 * only after it has cut the page. Empty pages are left out. A page that is too long for a message is asked for in halves: otherwise whoever
 * may make long entries could keep everybody from listing.
 *
 * @param ask - for one page
 * @param itemsOf - what the page holds
 */
export async function* listPages<Answer extends Page, Item>(
  ask: Ask<Answer>,
  itemsOf: (answer: Answer) => readonly Item[],
): AsyncGenerator<readonly Item[], void, void> {
  let pageToken = ''
  let size = pageSize
  do {
    const page = await askUpTo(size, pageToken, ask)
    const items = itemsOf(page.answer)
    if (items.length > 0) yield items
    pageToken = page.answer.nextPageToken
    size = Math.min(pageSize, page.size * 2)
  } while (pageToken !== '')
}

/** @returns a page, and of which size it was asked for in the end */
async function askUpTo<Answer>(
  most: number,
  pageToken: string,
  ask: Ask<Answer>,
): Promise<{ readonly answer: Answer; readonly size: number }> {
  for (let size = most; ; size = Math.floor(size / 2)) {
    try {
      return { answer: await ask({ pageSize: size, pageToken }), size }
    } catch (error) {
      if (size === 1 || !isTooLong(error)) throw error
    }
  }
}

/** A server that is only busy says the same, and that passes. */
function isTooLong(error: unknown): boolean {
  return error instanceof SpireError && error.status === grpcStatus.RESOURCE_EXHAUSTED && !error.transient
}
