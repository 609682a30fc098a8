import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KeyLedger } from '../key-ledger.ts'
import { KeyBook } from './key-book.ts'

const now = 1_000
const later = 9_000

describe('a key', () => {
  test('is that of the request that asked first, until its time is over', () => {
    const book = new KeyBook(new KeyLedger())
    book.want('first', 'key', 'pod/1', 5_000)
    book.want('second', 'key', 'pod/2', later)
    expect(book.seenBy('first').claimOf('key', now)).toBeUndefined()
    expect(book.seenBy('second').claimOf('key', now)).toEqual({ owner: 'pod/1', until: 5_000 })
    expect(book.seenBy('second').claimOf('key', 5_000)).toBeUndefined()
  })

  test('keeps its place when its request is looked at again', () => {
    const book = new KeyBook(new KeyLedger())
    book.want('first', 'key', 'user/driver', later)
    book.want('second', 'key', 'pod/2', later)
    book.want('first', 'key', 'pod/1', later)
    expect(book.seenBy('second').claimOf('key', now)?.owner).toBe('pod/1')
  })

  test('is free when its request is closed without a grant, and its owner’s when it was granted', () => {
    const book = new KeyBook(new KeyLedger())
    book.want('first', 'key', 'pod/1', later)
    book.want('second', 'key', 'pod/2', later)
    expect(book.rivalsOf('first')).toEqual(['second'])
    book.forget('first')
    expect(book.seenBy('second').claimOf('key', now)).toBeUndefined()
    expect(book.grant('key', 'pod/2', later, now)).toBe(true)
    book.forget('second')
    expect(book.seenBy('third').claimOf('key', now)?.owner).toBe('pod/2')
    expect(book.grant('key', 'pod/3', later, now)).toBe(false)
  })
})

test('whatever requests come and go, a key is never granted to two owners', () => {
  const step = fc.record({
    is: fc.constantFrom('want', 'decide', 'forget'),
    request: fc.constantFrom('a', 'b', 'c', 'd'),
    key: fc.constantFrom('k', 'l'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const book = new KeyBook(new KeyLedger())
      const granted: { readonly key: string; readonly owner: string; readonly isGranted: boolean }[] = []
      const wanting = new Map<string, string>()
      const decide = (request: string): void => {
        const key = wanting.get(request)
        const owner = `pod/${request}`
        const claim = key === undefined ? undefined : book.seenBy(request).claimOf(key, now)
        if (key === undefined || (claim !== undefined && claim.owner !== owner)) return
        granted.push({ key, owner, isGranted: book.grant(key, owner, later, now) })
      }
      for (const { is, request, key } of steps) {
        if (is === 'want') {
          wanting.set(request, key)
          book.want(request, key, `pod/${request}`, later)
        } else if (is === 'forget') {
          wanting.delete(request)
          book.forget(request)
        } else decide(request)
      }
      const owners = Map.groupBy(granted, ({ key }) => key)
      expect(granted.filter(({ isGranted }) => !isGranted)).toEqual([])
      expect([...owners.values()].filter((grants) => new Set(grants.map(({ owner }) => owner)).size > 1)).toEqual([])
    }),
  )
})
