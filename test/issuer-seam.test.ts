import { afterEach, beforeEach, expect, test } from 'vitest'
import { askRenewal } from '../src/driver/control.ts'
import { RequestDeniedError } from '../src/issuer/errors.ts'
import type { Issuer, RequestHandle } from '../src/issuer/issuer.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { TestNode } from './support/node.ts'
import { ScriptedIssuer } from './support/scripted-issuer.ts'
import { until } from './support/until.ts'

// What the driver owes an issuer that signs at once and keeps something in memory for a volume (src/issuer/issuer.ts).

let node: TestNode
let scripted: ScriptedIssuer
/** What the issuer was told, in order. */
let told: string[]
let earlier: (RequestHandle | undefined)[]

beforeEach(() => {
  scripted = new ScriptedIssuer({ clock: systemClock })
  told = []
  earlier = []
})

afterEach(() => node.close())

const issuer: Issuer = {
  async submit(request, signal, credentials, before) {
    earlier.push(before)
    const handle = await scripted.submit(request, signal, credentials)
    return { ...handle, reference: { answer: `for ${request.id}` } }
  },
  wait: (handle, signal, progress) => scripted.wait(handle, signal, progress),
  async discard(handle) {
    told.push('discard')
    await scripted.discard(handle)
  },
  async forget(volumeId) {
    told.push(`forget ${volumeId}`)
  },
}

async function start(): Promise<void> {
  node = await TestNode.start({ issuerFor: () => issuer })
}

test('what an issuer has put into a handle is handed back to it after a restart, once it is stored', async () => {
  scripted.script = 'hold'
  await start()
  const volume = await node.volume()
  const publish = node.publish(volume).catch(() => {})
  const stored = await until(
    'the handle is stored',
    async () => /"answer":"(for [0-9a-f]+)"/.exec(await node.stored())?.[1],
  )
  await node.stopDriver()
  await publish
  scripted.release()
  await node.startDriver()
  await node.publish(volume)
  expect(earlier.map((handle) => handle?.reference['answer'])).toEqual([undefined, stored])
})

test('an issuer is told that a volume is gone, after its request was discarded', async () => {
  await start()
  const volume = await node.volume()
  await node.publish(volume)
  await node.unpublish(volume)
  await until('it was told', () => told.length === 2)
  expect(told).toEqual(['discard', `forget ${volume.id}`])
})

test('an issuer is told that a volume is gone whose first request it denied', async () => {
  scripted.script = { submit: (request) => new RequestDeniedError(request.id, 'no') }
  await start()
  const volume = await node.volume()
  await expect(node.publish(volume)).rejects.toThrow('no')
  await until('it was told', () => told.includes(`forget ${volume.id}`))
  expect(told).toEqual([`forget ${volume.id}`])
})

test('a volume that is renewed is not told as gone', async () => {
  await start()
  const volume = await node.volume()
  await node.publish(volume)
  const before = await node.serial(volume)
  // Asked for as `podpass driver renew` does.
  await askRenewal(`${node.folder}/data`, volume.id)
  await until('it is renewed', async () => (await node.serial(volume)) !== before)
  await until('the first request is discarded', () => told.length > 0)
  expect(told).toEqual(['discard'])
})
