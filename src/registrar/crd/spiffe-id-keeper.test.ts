import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { recordingLog } from '../../../test/support/recording-log.ts'
import { until } from '../../../test/support/until.ts'
import { ApiError, ConnectionError } from '../../kubernetes/errors.ts'
import { now, spiffeId } from './fixtures/spiffe-ids.ts'
import type { SpiffeIdResource } from './read-spiffe-id.ts'
import { SpiffeIdKeeper } from './spiffe-id-keeper.ts'
import type { SpiffeIdObject } from './spiffe-id-resource.ts'
import type { Standing } from './spiffe-id-status.ts'

const key = 'spiffeid/shop/a'
const ready: Standing = { isReady: true, reason: 'Registered', message: 'there', entryId: 'e1' }
const gone: Standing = { isReady: false, reason: 'NotRegistered', message: 'gone', entryId: undefined }

interface Patch {
  readonly body: {
    readonly metadata: { readonly resourceVersion: string; readonly finalizers?: readonly string[] }
    readonly status?: unknown
  }
  readonly subresource: string | undefined
}

const keepers: SpiffeIdKeeper[] = []
afterEach(async () => {
  await Promise.all(keepers.splice(0).map((keeper) => keeper.close()))
})

/** A keeper before an API server that takes patches, and fails the first ones with `errors`. */
function world(...errors: readonly Error[]) {
  const clock = new ManualClock(now)
  const patches: Patch[] = []
  const lines: string[] = []
  const resources = new Map<string, SpiffeIdResource>()
  const failures = [...errors]
  const keeper = new SpiffeIdKeeper({
    client: {
      patch: async (
        _resource: unknown,
        _name: unknown,
        _type: unknown,
        body: unknown,
        options: { subresource?: string },
      ) => {
        const error = failures.shift()
        if (error !== undefined) throw error
        patches.push({ body: body as Patch['body'], subresource: options.subresource })
        return {} as never
      },
    },
    get: (one) => resources.get(one),
    patience: 60_000,
    clock,
    log: recordingLog(lines),
    random: () => 0,
  })
  keepers.push(keeper)
  const show = (changes: Partial<SpiffeIdObject> = {}): SpiffeIdResource => {
    const resource = spiffeId('a', changes)
    resources.set(key, resource)
    keeper.changed(key)
    return resource
  }
  return { clock, patches, lines, resources, keeper, show }
}

const ending = { metadata: { deletionTimestamp: '2026-11-22T10:00:00Z' } }

/** Lets everything that can happen happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('a SpiffeID that a person made gets the finalizer, and its status in the next write', async () => {
  const { keeper, patches, show } = world()
  const plain = show({ metadata: { finalizers: ['other'] } })
  keeper.tell(key, plain, ready, false)
  await settle()
  expect(patches).toEqual([
    {
      body: {
        metadata: { finalizers: ['other', 'finalizers.spiffeid.spiffe.io'], resourceVersion: plain.resourceVersion },
      },
      subresource: undefined,
    },
  ])
  show({ metadata: { finalizers: ['other', 'finalizers.spiffeid.spiffe.io'] } })
  await settle()
  expect(patches).toHaveLength(2)
  expect(patches[1]).toMatchObject({ subresource: 'status', body: { status: { entryId: 'e1' } } })
})

test('one that was made with the finalizer costs one write, and none where its status says so already', async () => {
  const { keeper, patches, show } = world()
  const resource = show()
  keeper.tell(key, resource, ready, false)
  keeper.tell(key, resource, ready, false)
  await settle()
  expect(patches).toHaveLength(1)
  const written = show({ status: patches[0]?.body.status as never })
  keeper.tell(key, written, ready, false)
  await settle()
  expect(patches).toHaveLength(1)
})

test('what was told of a former SpiffeID of the name is not written', async () => {
  const { keeper, patches, show } = world()
  const former = show()
  show({ metadata: { uid: 'another' } })
  keeper.tell(key, former, ready, false)
  await settle()
  expect(patches).toEqual([])
})

test('a SpiffeID that is deleted waits until its entry is', async () => {
  const { keeper, patches, show } = world()
  const resource = show()
  keeper.tell(key, resource, ready, false)
  await settle()
  const going = show(ending)
  await settle()
  expect(patches).toHaveLength(1)
  keeper.tell(key, going, gone, true)
  await settle()
  expect(patches[1]?.body).toEqual({ metadata: { finalizers: [], resourceVersion: going.resourceVersion } })
})

test('one that never had an entry goes at once', async () => {
  const { keeper, patches, show } = world()
  keeper.tell(key, show(ending), gone, true)
  await settle()
  expect(patches[0]?.body.metadata.finalizers).toEqual([])
})

test('while the server is away it goes after a minute, and the log says what is left', async () => {
  const { keeper, patches, show, clock, lines } = world()
  keeper.tell(key, show(), ready, false)
  await settle()
  show(ending)
  await settle()
  clock.advance(30_000)
  // Another event does not begin the minute anew.
  show(ending)
  await settle()
  clock.advance(29_999)
  await settle()
  expect(patches).toHaveLength(1)
  clock.advance(1)
  await settle()
  expect(patches[1]?.body.metadata.finalizers).toEqual([])
  expect(lines.join('\n')).toContain('spire-server entry delete -entryID e1')
})

test("other programs' finalizers stay", async () => {
  const { keeper, patches, show } = world()
  const metadata = { ...ending.metadata, finalizers: ['other', 'finalizers.spiffeid.spiffe.io'] }
  keeper.tell(key, show({ metadata }), gone, true)
  await settle()
  expect(patches[0]?.body.metadata.finalizers).toEqual(['other'])
  keeper.tell(key, show({ metadata: { ...metadata, finalizers: ['other'] } }), gone, true)
  await settle()
  expect(patches).toHaveLength(1)
})

test('one that has changed or is gone is left to its next event', async () => {
  const conflict = new ApiError('PATCH', 409, { reason: 'Conflict' }, undefined)
  const { keeper, patches, show, clock } = world(conflict, new ApiError('PATCH', 404, {}, undefined))
  keeper.tell(key, show(), ready, false)
  await settle()
  keeper.changed(key)
  await settle()
  expect(patches).toEqual([])
  expect(clock.timers).toBe(0)
})

test('trouble with the API server is tried again', async () => {
  const { keeper, patches, show, clock } = world(new ConnectionError('lost', 'unknown'))
  keeper.tell(key, show(), ready, false)
  await until('the next attempt is planned', () => clock.timers > 0)
  clock.advance(60_000)
  await settle()
  expect(patches).toHaveLength(1)
})

test('one that is gone is forgotten', async () => {
  const { keeper, patches, resources, show } = world()
  const resource = show()
  resources.delete(key)
  keeper.tell(key, resource, ready, false)
  await settle()
  expect(patches).toEqual([])
})
