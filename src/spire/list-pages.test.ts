import { expect, test } from 'vitest'
import { grpcStatus } from '../runtime/grpc-status.ts'
import { SpireError } from './errors.ts'
import { listPages } from './list-pages.ts'

const tooLarge = 'Received message larger than max (40000000 vs 33554432)'

function failure(status: number, details: string): SpireError {
  return new SpireError({ status, method: 'Entry.ListEntries', address: 'memory', details })
}

/**
 * A server with items of these sizes, of which one message holds a hundred.
 *
 * @returns what was asked, and what came
 */
async function list(sizes: readonly number[]): Promise<{ readonly asked: readonly number[]; readonly items: number }> {
  const asked: number[] = []
  const pages = listPages(
    async ({ pageSize, pageToken }) => {
      asked.push(pageSize)
      const start = Number(pageToken)
      const items = sizes.slice(start, start + pageSize)
      if (items.reduce((sum, size) => sum + size, 0) > 100) throw failure(grpcStatus.RESOURCE_EXHAUSTED, tooLarge)
      const end = start + items.length
      return { items, nextPageToken: end < sizes.length ? String(end) : '' }
    },
    ({ items }) => items,
  )
  let items = 0
  for await (const page of pages) items += page.length
  return { asked, items }
}

test('a page that no message holds is asked for in smaller ones, and nothing is left out', async () => {
  const { asked, items } = await list([...Array<number>(1500).fill(0), 80, 80, 80, ...Array<number>(700).fill(0)])
  expect(items).toBe(2203)
  expect(asked.slice(0, 3)).toEqual([1000, 1000, 500])
})

test('pages are large again behind the ones that were too large', async () => {
  const { asked } = await list([80, 80, ...Array<number>(5000).fill(0)])
  expect(asked.at(-1)).toBe(1000)
})

test('an item that no message holds, and any other trouble, ends the listing', async () => {
  await expect(list([0, 200])).rejects.toThrow(tooLarge)
  const broken = listPages(
    () => Promise.reject(failure(grpcStatus.RESOURCE_EXHAUSTED, 'too many calls')),
    () => [],
  )
  await expect(broken.next()).rejects.toThrow('too many calls')
})
