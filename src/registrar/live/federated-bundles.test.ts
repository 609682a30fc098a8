import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EntryStore } from '../../../test/support/entry-store.ts'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { StandInServer } from '../../../test/support/spire-server.ts'
import { until } from '../../../test/support/until.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { bundleService } from '../../spire/bundle-service.ts'
import { ServerClient } from '../../spire/server-client.ts'
import { FederatedBundles } from './federated-bundles.ts'

/** A server with the bundle of one.test, and what is known of it. */
class World {
  readonly clock = new ManualClock()
  readonly store = new EntryStore({ trustDomain: 'example.org', federated: new Set(['one.test']) })
  readonly bundles: FederatedBundles
  isWanted = true
  changes = 0
  /** How many answers the server has given. */
  answers = 0
  readonly #stopping = new AbortController()
  readonly #ground = new AsyncDisposableStack()

  private constructor(client: ServerClient, ground: AsyncDisposableStack) {
    const service = bundleService(client)
    this.bundles = new FederatedBundles({
      bundles: {
        federatedTrustDomains: async (signal) => {
          try {
            return await service.federatedTrustDomains(signal)
          } finally {
            this.answers++
          }
        },
      },
      areWanted: () => this.isWanted,
      onChange: () => this.changes++,
      clock: this.clock,
      log: silentLog,
      random: () => 0.5,
    })
    this.#ground.use(ground)
  }

  /** @param isUp - false where there is no server */
  static async open(isUp = true): Promise<World> {
    await using ground = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'podpass-bundles-'))
    ground.defer(() => rm(folder, { recursive: true }))
    const path = join(folder, 'api.sock')
    const client = new ServerClient({
      endpoint: { by: 'socket', path },
      trustDomain: 'example.org',
      clock: systemClock,
    })
    ground.defer(() => client.close())
    const world = new World(client, ground.move())
    if (isUp) await world.#serve(path)
    return world
  }

  async #serve(path: string): Promise<void> {
    const server = new StandInServer({ store: this.store })
    this.#ground.defer(() => server.kill())
    await server.listen(path)
  }

  /** Begins, and follows until the test is over. */
  async follow(): Promise<void> {
    await this.bundles.begin(this.#stopping.signal)
    const following = this.bundles.follow(this.#stopping.signal)
    this.#ground.defer(async () => {
      this.#stopping.abort(new Error('the test is over'))
      await following
    })
  }

  /** Time passes, and the server answers what it is asked meanwhile. */
  async pass(time: number): Promise<void> {
    for (let passed = 0; passed < time; passed += 1000) {
      this.clock.advance(1000)
      // A question is a round trip away, and without one nothing happens.
      await new Promise((resolve) => setTimeout(resolve, 4))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ground.disposeAsync()
  }
}

test('what the server has is known from the start, and what comes later within a minute', async () => {
  await using world = await World.open()
  await world.follow()
  expect(world.bundles.names).toEqual(new Set(['one.test']))
  world.store.federated.add('two.test')
  await until('the server was asked again', async () => {
    await world.pass(1000)
    return world.bundles.names.has('two.test')
  })
  expect(world.changes).toBe(2)
})

test('a wish for what is not known asks the server at once, where it was not asked just now', async () => {
  await using world = await World.open()
  await world.follow()
  world.store.federated.add('two.test')
  await world.pass(6000)
  expect(world.answers).toBe(1)
  world.bundles.want(['one.test', 'two.test'])
  await until('the answer', () => world.bundles.names.has('two.test'))
  expect(world.answers).toBe(2)
})

test('any number of wishes in five seconds are one question', async () => {
  await using world = await World.open()
  await world.follow()
  for (let second = 0; second < 4; second++) {
    for (let pod = 0; pod < 100; pod++) world.bundles.want(['never.test'])
    await world.pass(1000)
  }
  expect(world.answers).toBe(1)
  await world.pass(1000)
  await until('the answer', () => world.answers === 2)
  // Nobody asks for it again.
  await world.pass(20_000)
  expect(world.answers).toBe(2)
})

test('a wish for what is known asks nobody, nor does one that is gone again', async () => {
  await using world = await World.open()
  await world.follow()
  await world.pass(6000)
  world.bundles.want(['one.test'])
  world.bundles.want([])
  await world.pass(6000)
  expect(world.answers).toBe(1)
  world.isWanted = false
  world.bundles.want(['two.test'])
  await world.pass(120_000)
  expect(world.answers).toBe(1)
})

test('what was known stays while the server is away, and a start without it is a problem until it answers', async () => {
  await using world = await World.open(false)
  const stopping = new AbortController()
  const begun = world.bundles.begin(stopping.signal)
  await until('the server was asked', () => world.bundles.problem !== undefined)
  expect(world.bundles.names).toEqual(new Set())
  stopping.abort(new Error('the lease is lost'))
  await begun
  expect(world.bundles.problem).toBeUndefined()
})
