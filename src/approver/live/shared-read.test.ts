import { expect, test } from 'vitest'
import { settled } from '../../kubernetes/fixtures/manual-clock.ts'
import { SharedRead } from './shared-read.ts'

const { signal } = new AbortController()

test('who asks at the same time shares a read, and who asks while one runs shares the next', async () => {
  const reads: PromiseWithResolvers<number>[] = []
  const shared = new SharedRead(() => {
    const read = Promise.withResolvers<number>()
    reads.push(read)
    return read.promise
  })
  const early = [shared.read(signal), shared.read(signal)]
  await settled()
  const late = [shared.read(signal), shared.read(signal)]
  await settled()
  expect(reads).toHaveLength(1)
  reads[0]?.resolve(1)
  await settled()
  expect(reads).toHaveLength(2)
  reads[1]?.resolve(2)
  expect(await Promise.all([...early, ...late])).toEqual([1, 1, 2, 2])
})

test('a read that fails is that of who asked for it, and the next one is another', async () => {
  let count = 0
  const shared = new SharedRead(async () => {
    count += 1
    if (count === 1) throw new Error('no')
    return count
  })
  await expect(shared.read(signal)).rejects.toThrow('no')
  expect(await shared.read(signal)).toBe(2)
})

test('who has gone away is told so', async () => {
  const leaving = new AbortController()
  const shared = new SharedRead(async () => 1)
  const read = shared.read(leaving.signal)
  leaving.abort(new Error('gone'))
  await expect(read).rejects.toThrow('gone')
  await shared.close()
})
