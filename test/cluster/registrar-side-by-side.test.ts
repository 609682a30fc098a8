import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { ControlPlane } from './control-plane.ts'
import type { Daemon } from './daemon.ts'
import { startFormerRegistrar } from './former-registrar.ts'
import { kubectl } from './kubectl.ts'
import { installRegistrar, startRegistrar } from './registrar-process.ts'
import type { Difference, Outcome, SideCase, Told } from './side-by-side/case.ts'
import { type Configuration, configurations } from './side-by-side/configurations.ts'
import { differences } from './side-by-side/differences.ts'
import { entriesOf, type Side, told, withoutTold } from './side-by-side/side.ts'
import { World } from './side-by-side/world.ts'
import { SpireServer } from './spire.ts'
import { TimedOutError, until } from './until.ts'

// SPIRE's registrar 1.5.6 and Podpass, each with a SPIRE server of its own, before the same objects. In mode crd both write into the
// cluster, so each has one of its own then, with the same objects.

const manifests = join(import.meta.dirname, '../../deploy/registrar')
const ground = new AsyncDisposableStack()
let sides: Readonly<Record<Configuration['mode'], readonly [old: Side, podpass: Side]>>

beforeAll(async () => {
  const [oldServer, podpassServer] = [await startServer(), await startServer()]
  const [shared, own] = [await startPlane(), await startPlane()]
  const oldSide = (plane: Ground): Side => ({
    ...plane,
    server: oldServer,
    start: (file) => startFormerRegistrar(plane.controlPlane, withServer(file, oldServer)),
  })
  const podpassSide = (plane: Ground): Side => ({
    ...plane,
    server: podpassServer,
    start: async (file) => (await startRegistrar(plane.controlPlane, withServer(file, podpassServer))).daemon,
  })
  sides = {
    reconcile: [oldSide(shared), podpassSide(shared)],
    crd: [oldSide(shared), podpassSide(own)],
  }
})

afterAll(() => ground.disposeAsync())

type Ground = Pick<Side, 'world'> & { readonly controlPlane: ControlPlane['access'] }

async function startPlane(): Promise<Ground> {
  const { access: controlPlane } = ground.use(await ControlPlane.start())
  await installRegistrar(controlPlane)
  const files = ['crd.yaml', 'rbac-crd.yaml'].flatMap((name) => ['-f', join(manifests, name)])
  await kubectl(controlPlane, ['apply', ...files])
  await kubectl(controlPlane, ['wait', '--for=condition=Established', 'crd/spiffeids.spiffeid.spiffe.io'])
  const client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  const world = new World(controlPlane, client)
  ground.defer(() => world.close())
  return { controlPlane, world }
}

async function startServer(): Promise<SpireServer> {
  const server = ground.use(await SpireServer.start())
  for (const name of ['partner.test', 'other.test']) await server.federateWith(name)
  return server
}

function withServer(file: string, { socket }: SpireServer): string {
  return `${file}\nserver_socket_path = "${socket}"\ntrust_domain = "example.org"\ncluster = "demo"\n`
}

describe.each(configurations)('$name', (configuration) => {
  const { mode, file, namespaces, cases, marker } = configuration
  let running: readonly Daemon[] = []

  /** Both registrars have seen everything that was there before. */
  async function caughtUp(name: string): Promise<void> {
    await onEachWorld((world) => world.apply(marker(name)))
    const of = `pod/${marker(name).object.metadata.namespace}/${name}`
    await until(`both registrars to see ${name}`, async () => {
      const seen = await Promise.all(sides[mode].map((side) => entriesOf(side, of)))
      return seen.every((entries) => entries.length === 1)
    })
  }

  async function onEachWorld(act: (world: World) => Promise<void>): Promise<void> {
    const worlds = new Set(sides[mode].map(({ world }) => world))
    await Promise.all([...worlds].map(act))
  }

  async function start(text: string): Promise<void> {
    await Promise.all(running.map((daemon) => daemon.close('SIGTERM')))
    running = await Promise.all(sides[mode].map((side) => side.start(`mode = "${mode}"\n${text}`)))
  }

  beforeAll(async () => {
    await onEachWorld(async (world) => {
      await world.createNamespaces(namespaces)
      await world.apply(...cases.flatMap(({ objects = [] }) => objects))
      await world.servicesLead(namespaces)
    })
    await start(file)
    await caughtUp('marker-1')
  })

  afterAll(() => Promise.all(running.map((daemon) => daemon.close('SIGTERM'))))

  test.each(cases)('$name', async ({ of, first }) => {
    const seen = await look(configuration, of, first)
    expect(seen.told).toEqual(wanted(first))
    expect(seen.untold?.podpass).toEqual(seen.untold?.old)
  })

  describe('after what happened since', () => {
    const changing = cases.flatMap((one) =>
      one.afterwards === undefined ? [] : [{ ...one, afterwards: one.afterwards }],
    )

    beforeAll(async () => {
      await onEachWorld(async (world) => {
        for (const { afterwards } of changing) await afterwards.change(world)
      })
      await caughtUp('marker-2')
    })

    test.each(changing)('$name', async ({ of, afterwards }) => {
      const seen = await look(configuration, of, afterwards.outcome)
      expect(seen.told).toEqual(wanted(afterwards.outcome))
      expect(seen.untold?.podpass).toEqual(seen.untold?.old)
    })
  })

  describe.runIf(configuration.later !== undefined)('with another file', () => {
    const { later } = configuration

    beforeAll(async () => {
      await start(later?.file ?? '')
      await caughtUp('marker-3')
    })

    test.each<Pick<SideCase, 'name' | 'of' | 'first'>>(later?.cases ?? [])('$name', async ({ of, first }) => {
      const seen = await look(configuration, of, first)
      expect(seen.told).toEqual(wanted(first))
      expect(seen.untold?.podpass).toEqual(seen.untold?.old)
    })
  })
})

/** What both registrars made of a case: what it tells of, and all the rest. */
interface Seen {
  readonly told: ReturnType<typeof wanted>
  /** In the fields that no case tells of; undefined where one of them made no entry. */
  readonly untold?: Readonly<Record<'old' | 'podpass', object>>
}

/** Waits until both sides are as a case tells, or for some time. */
async function look(configuration: Configuration, of: string, outcome: Outcome): Promise<Seen> {
  const sidesOfMode = sides[configuration.mode]
  const isLike = JSON.stringify(wanted(outcome))
  let seen: Seen = { told: { old: [], podpass: [] } }
  await until(
    `the entries of ${of}`,
    async () => {
      const [old = [], podpass = []] = await Promise.all(sidesOfMode.map((side) => entriesOf(side, of)))
      const [one, other] = [old[0], podpass[0]]
      const untold = one && other && { untold: { old: withoutTold(one), podpass: withoutTold(other) } }
      seen = { told: { old: old.map(told), podpass: podpass.map(told) }, ...untold }
      return JSON.stringify(seen.told) === isLike
    },
    { timeout: 40_000, interval: 500 },
  ).catch((error: unknown) => {
    // What was seen last says more.
    if (!(error instanceof TimedOutError)) throw error
  })
  return seen
}

function wanted(outcome: Outcome): Readonly<Record<'old' | 'podpass', readonly Required<Told>[]>> {
  const [old, podpass] = 'both' in outcome ? [outcome.both, outcome.both] : [outcome.old, outcome.podpass]
  return { old: whole(old), podpass: whole(podpass) }
}

function whole(one: Told | 'none'): readonly Required<Told>[] {
  if (one === 'none') return []
  const { id, dnsNames = [], federatesWith = [], downstream = false } = one
  return [{ id, dnsNames, federatesWith, downstream }]
}

test.each(Object.values(differences))('under "$under" the documentation has: $row', async ({ under, row }) => {
  const document = await readFile(join(import.meta.dirname, '../../docs/registrar-compatibility.md'), 'utf8')
  expect(rowsUnder(document, under)).toContain(row)
})

test('every difference that the documentation has to explain is shown by a case', () => {
  const shown = new Set(configurations.flatMap(differencesOf))
  expect(shown).toEqual(new Set(Object.values(differences)))
})

function differencesOf({ cases, later }: Configuration): readonly Difference[] {
  const outcomes = [
    ...cases.flatMap(({ first, afterwards }) => [first, afterwards?.outcome]),
    ...(later?.cases ?? []).map(({ first }) => first),
  ]
  return outcomes.flatMap((outcome) => (outcome !== undefined && 'because' in outcome ? [outcome.because] : []))
}

/** The first cells of a table's rows. */
function rowsUnder(document: string, heading: string): readonly string[] {
  const section = document.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  return section.split('\n').flatMap((line) => /^\| (.*?) +\|/.exec(line)?.[1] ?? [])
}
