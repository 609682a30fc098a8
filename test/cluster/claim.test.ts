import { expect, test } from 'vitest'
import { Claim, claimPort } from './claim.ts'

test('a name is held by one at a time, and whoever waits for it gets it next', async () => {
  const first = await Claim.take('test/name')
  expect(first).toBeDefined()
  expect(await Claim.take('test/name')).toBeUndefined()

  let waited = false
  const second = Claim.wait('test/name', () => {
    waited = true
    void first?.close()
  })
  await using held = await second
  expect(waited).toBe(true)
  expect(held.name).toBe('test/name')
  expect(await Claim.take('test/name')).toBeUndefined()
})

test('ports are given to one at a time', async () => {
  const claimed = await Promise.all(Array.from({ length: 50 }, () => claimPort()))
  expect(new Set(claimed.map(({ port }) => port)).size).toBe(50)
  await Promise.all(claimed.map(({ claim }) => claim.close()))
})
