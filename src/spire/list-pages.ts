/** How much a page of a listing holds: a server without a limit puts everything into one message, which no client takes. */
const pageSize = 1000

/** What a listing answers. */
interface Page {
  readonly nextPageToken: string
}

/**
 * Reads a listing page by page, until one comes without a token: a short page is not the last one, as the server looks at some filters
 * only after it has cut the page. Empty pages are left out.
 *
 * @param ask - for one page
 * @param itemsOf - what the page holds
 */
export async function* listPages<Answer extends Page, Item>(
  ask: (page: { readonly pageSize: number; readonly pageToken: string }) => Promise<Answer>,
  itemsOf: (answer: Answer) => readonly Item[],
): AsyncGenerator<readonly Item[], void, void> {
  let pageToken = ''
  do {
    const answer = await ask({ pageSize, pageToken })
    const items = itemsOf(answer)
    if (items.length > 0) yield items
    pageToken = answer.nextPageToken
  } while (pageToken !== '')
}
