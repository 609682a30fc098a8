import { setImmediate as turn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EntryFault } from '../../../test/support/memory-entries.ts'
import { type StoredObject, refusal } from '../../../test/support/memory-api.ts'
import { RegistrarCluster, registrarRoot } from '../../../test/support/registrar-cluster.ts'
import { nodes, pods, type Resource } from '../../kubernetes/resource.ts'
import { SpireError } from '../../spire/errors.ts'
import { differingFields } from '../desired/compare.ts'
import { type SpiffeIdObject, type SpiffeIdSpec, spiffeIds } from '../crd/spiffe-id-resource.ts'
import type { LiveRegistrar } from './live-registrar.ts'

// The whole of crd mode but for its two servers: whatever happens to pods, nodes, SpiffeIDs and calls, in the end each SpiffeID has the
// entry that it asks for, each pod and node has its SpiffeID, and there is nothing else.

const hcl = 'mode = "crd"\nleader_election = true\nverify_interval = "10m"\ndelete_fuse { max_count = 1000 }'
const names = ['p0', 'p1', 'p2']
const made = ['s0', 's1', 's2']
const nodeNames = ['n0', 'n1']

type Step =
  | { readonly do: 'pod'; readonly name: string; readonly account: string | undefined; readonly isNew: boolean }
  | { readonly do: 'node'; readonly name: string; readonly isThere: boolean }
  | { readonly do: 'spiffeId'; readonly name: string; readonly variant: number }
  | { readonly do: 'delete'; readonly place: number }
  | { readonly do: 'collect' | 'stall' | 'resume' }
  | { readonly do: 'lead' | 'stop' | 'crash'; readonly replica: number }
  | { readonly do: 'spire'; readonly code: number; readonly carriedOut: number }
  | { readonly do: 'api'; readonly status: number }
  | { readonly do: 'meddle'; readonly place: number; readonly how: 'delete' | 'names' | 'selectors' }
  | { readonly do: 'pass'; readonly time: number }

function constant<const Value extends string>(value: Value): fc.Arbitrary<Value> {
  return fc.constant(value)
}

const replica = fc.nat({ max: 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: constant('pod'),
      name: fc.constantFrom(...names),
      account: fc.constantFrom('web', 'api', undefined),
      isNew: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: constant('node'), name: fc.constantFrom(...nodeNames), isThere: fc.boolean() }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: constant('spiffeId'), name: fc.constantFrom(...made), variant: fc.nat({ max: 4 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: constant('delete'), place: fc.nat({ max: 9 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('collect' as const, 'stall' as const, 'resume' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('lead' as const, 'stop' as const, 'crash' as const), replica }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: constant('spire'),
      code: fc.constantFrom(4, 8, 13, 14),
      carriedOut: fc.nat({ max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: constant('api'), status: fc.constantFrom(429, 500, 503) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: constant('meddle'),
      place: fc.nat({ max: 9 }),
      how: fc.constantFrom('delete' as const, 'names' as const, 'selectors' as const),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: constant('pass'), time: fc.constantFrom(100, 400, 1500) }) },
)

/** Two may ask for the same, and some for what is not theirs. */
const specs: readonly SpiffeIdSpec[] = [
  specOf('one', { namespace: 'shop', podName: 'by-hand' }),
  specOf('two', { namespace: 'shop', podName: 'by-hand' }),
  { ...specOf('two', { namespace: 'shop', podName: 'by-hand' }), dnsNames: ['by-hand.shop.svc'] },
  specOf('three', { namespace: 'bank', podName: 'vault' }),
  specOf('spire/agent/evil', { namespace: 'shop', podName: 'by-hand' }),
]

function specOf(path: string, selector: SpiffeIdSpec['selector']): SpiffeIdSpec {
  return { spiffeId: `spiffe://example.org/${path}`, parentId: `${registrarRoot}/n0`, selector }
}

interface Replica {
  registrar: LiveRegistrar
  stop: (() => Promise<void>) | undefined
}

class World {
  readonly cluster = new RegistrarCluster()
  readonly replicas: readonly Replica[]
  /** What goes wrong with the next calls of either server, first to last. */
  readonly #spireFaults: EntryFault[] = []
  readonly #apiFaults: number[] = []
  #count = 0

  constructor() {
    const { cluster } = this
    cluster.fault = async () => this.#spireFaults.shift()
    cluster.api.onWrite = async () => {
      // A write is a round trip: two that lead at once, and tell a SpiffeID different things, give others a turn.
      await turn()
      const status = this.#apiFaults.shift()
      if (status !== undefined) throw refusal(status, 'Injected')
    }
    cluster.putEntry('theirs', { spiffeId: 'spiffe://example.org/theirs', parentId: 'spiffe://example.org/elsewhere' })
    this.replicas = [0, 1].map(() => ({ registrar: cluster.open(hcl), stop: undefined }))
  }

  async take(step: Step): Promise<void> {
    const { api, store, clock } = this.cluster
    switch (step.do) {
      case 'pod':
        if (step.account === undefined || step.isNew) api.remove(pods, { namespace: 'shop', name: step.name })
        if (step.account !== undefined) {
          this.cluster.pod(step.name, { uid: `uid-${this.#count++}` }, { serviceAccountName: step.account })
        }
        return
      case 'node':
        if (!step.isThere) api.remove(nodes, { name: step.name })
        else api.put(nodes, { metadata: { name: step.name, uid: `uid-${this.#count++}` } })
        return
      case 'spiffeId':
        this.#write(step.name, specs[step.variant] ?? specs[0])
        return
      case 'delete': {
        const found = this.spiffeIds()
        const victim = found[step.place % Math.max(found.length, 1)]
        if (victim !== undefined) await this.#delete(victim)
        return
      }
      case 'collect':
        await this.#collect()
        return
      case 'stall':
        api.isStalled = true
        return
      case 'resume':
        api.resume()
        return
      case 'lead':
      case 'stop':
      case 'crash':
        await this.#turn(this.replicas[step.replica], step.do)
        return
      case 'spire': {
        const error = new SpireError({ status: step.code, method: 'Entry', address: 'memory', details: 'injected' })
        this.#spireFaults.push({ error, carriedOut: step.carriedOut })
        return
      }
      case 'api':
        this.#apiFaults.push(step.status)
        return
      case 'meddle': {
        const own = store.all().filter(({ id }) => id.startsWith('podpass.'))
        const entry = own[step.place % Math.max(own.length, 1)]
        if (entry === undefined) return
        if (step.how === 'delete') store.delete(entry.id)
        else if (step.how === 'names') store.update(entry.id, { dnsNames: ['meddled.example.org'] })
        else store.update(entry.id, { selectors: [{ type: 'k8s', value: `pod-name:meddled-${clock.now()}` }] })
        return
      }
      case 'pass':
        await this.cluster.pass(step.time)
    }
  }

  /** Nothing goes wrong any more, one leads, everybody sees everything, and time passes. */
  async calmDown(): Promise<void> {
    this.#spireFaults.length = 0
    this.#apiFaults.length = 0
    this.cluster.api.resume()
    const [first, second] = this.replicas
    if (first?.stop !== undefined) await this.#turn(second, 'stop')
    else if (second?.stop === undefined) await this.#turn(first, 'lead')
    for (let round = 0; round < 4; round++) {
      await this.#collect()
      await this.cluster.pass(1500)
      // Whatever waits to be tried again is; and only then, not in the same moment, the server's entries are listed.
      this.cluster.clock.advance(590_000)
      await this.cluster.pass(12_000)
    }
    await this.cluster.pass(3000)
  }

  spiffeIds(): readonly SpiffeIdObject[] {
    return this.#all(spiffeIds)
  }

  /** What is not as it should be. */
  divergences(): readonly string[] {
    const { store } = this.cluster
    const wrong: string[] = []
    const found = this.spiffeIds()
    for (const { metadata } of found) if (metadata.deletionTimestamp) wrong.push(`${metadata.name} does not go`)
    for (const { metadata } of [...this.#all(pods), ...this.#all(nodes)]) {
      const own = found.filter(({ metadata: of }) => of.ownerReferences?.some(({ uid }) => uid === metadata.uid))
      if (own.length !== 1) wrong.push(`${metadata.name} has ${own.length} SpiffeIDs`)
    }
    const kept = new Set<string>()
    // One that breaks a rule now keeps its last good entry, which nobody else can have meanwhile.
    const lastGood = found.flatMap(({ status }) =>
      status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'False')
        ? (status.entryId ?? [])
        : [],
    )
    const registrar = this.replicas.find(({ stop }) => stop !== undefined)?.registrar
    for (const { metadata, status } of found) {
      const { namespace, name } = metadata
      const key = `spiffeid/${namespace}/${name}`
      const ready = status?.conditions?.find(({ type }) => type === 'Ready')
      const { rendering } = registrar?.describe(key) ?? {}
      const entry = status?.entryId ? store.get(status.entryId) : undefined
      if (entry !== undefined) kept.add(entry.id)
      if (status?.observedGeneration !== metadata.generation) wrong.push(`the status of ${name} is old`)
      if (rendering?.is !== 'entry') {
        if (ready?.status !== 'False') wrong.push(`${name} should not be ready`)
      } else if (ready?.reason === 'Conflict' && lastGood.some((id) => ready.message?.includes(id))) continue
      else if (ready?.status !== 'True') wrong.push(`${name} is not ready: ${ready?.message}`)
      else if (entry === undefined) wrong.push(`${name} has no entry`)
      else {
        const fields = differingFields(entry, rendering.spec)
        if (fields.length > 0) wrong.push(`${name} differs in ${fields.join()}`)
      }
    }
    for (const { id } of store.all()) if (id !== 'theirs' && !kept.has(id)) wrong.push(`${id} is nobody's`)
    return wrong
  }

  async close(): Promise<void> {
    await this.cluster[Symbol.asyncDispose]()
  }

  #all({ plural }: Resource): readonly StoredObject[] {
    return this.cluster.api.all(plural)
  }

  #write(name: string, spec: SpiffeIdSpec | undefined): void {
    const before = this.cluster.api.find(spiffeIds, { namespace: 'shop', name })
    const generation = (before?.metadata.generation ?? 0) + 1
    const metadata = { ...(before?.metadata ?? { namespace: 'shop', name, uid: `uid-${this.#count++}` }), generation }
    this.cluster.api.put(spiffeIds, { ...before, metadata, spec: spec as object as Readonly<Record<string, unknown>> })
  }

  async #delete({ metadata }: Pick<StoredObject, 'metadata'>): Promise<void> {
    const { name = '', namespace } = metadata
    // What goes wrong is for the registrar.
    const faults = this.#apiFaults.splice(0)
    await this.cluster.api.client.delete(spiffeIds, { name, namespace }).catch(() => {})
    this.#apiFaults.push(...faults)
  }

  /** As the garbage collector does: what belongs to objects that are gone. */
  async #collect(): Promise<void> {
    const alive = new Set([...this.#all(pods), ...this.#all(nodes)].map(({ metadata }) => metadata.uid))
    for (const object of this.spiffeIds()) {
      const owners = object.metadata.ownerReferences ?? []
      if (owners.length > 0 && owners.every(({ uid }) => !alive.has(uid))) await this.#delete(object)
    }
  }

  async #turn(replica: Replica | undefined, what: 'lead' | 'stop' | 'crash'): Promise<void> {
    if (replica === undefined) return
    if (what === 'lead') {
      replica.stop ??= this.cluster.lead(replica.registrar)
      return
    }
    await replica.stop?.()
    replica.stop = undefined
    if (what === 'stop') return
    await replica.registrar.close()
    replica.registrar = this.cluster.open(hcl)
  }
}

test('any order of events, crashes, failures of either server, late watches and two leaders converges', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 50, size: 'max' }), async (steps) => {
      const world = new World()
      try {
        await world.take({ do: 'lead', replica: 0 })
        const theirs = world.cluster.store.get('theirs')
        for (const step of steps) await world.take(step)
        await world.calmDown()
        expect(world.divergences()).toEqual([])
        expect(world.cluster.store.get('theirs')).toEqual(theirs)
      } finally {
        world.cluster.api.resume()
        await world.close()
      }
    }),
    { numRuns: Number(process.env['SYNC_RUNS'] ?? 60), timeout: 20_000 },
  )
}, 240_000)
