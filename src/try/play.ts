import type { Clock } from '../runtime/clock.ts'
import { readMountInfo } from '../volume/mount-info.ts'
import { attributePrefix } from '../volume/attributes.ts'
import type { PreparedGround } from './ground.ts'
import { publishVolume, unpublishVolume } from './kubelet.ts'
import { targetPath, volumeHandle } from './kubelet-request.ts'
import { findLeftovers } from './leftovers.ts'
import { choosePair, meetPeers, meetStranger } from './meeting.ts'
import type { Plan, PlannedVolume } from './plan.ts'
import { viewVolume } from './pod-view.ts'
import { watchRenewals } from './renewal.ts'
import { type PlayedIssuer, type Stage, canGiveTo, setStage } from './stage.ts'
import type { PublishedVolume, Step } from './step.ts'

/** What a play needs. */
export interface PlayOptions {
  readonly prepared: PreparedGround
  readonly driverName: string
  readonly version: string
  /** The longest life of a certificate, in milliseconds. */
  readonly lifetime: number
  /** Who signs; undefined for an embedded CA. */
  readonly issuer: PlayedIssuer | undefined
  /** Whether to wait for a renewal. */
  readonly renewal: boolean
  /** Whether to leave all of it running at the end, until the signal. */
  readonly keep: boolean
  readonly clock: Clock
}

/** How long the driver may take for an unpublish at the end, in milliseconds. */
const leavePatience = 15_000

/**
 * Plays the life of the planned volumes: published, looked at, used for TLS, renewed, unpublished. Whatever happens in between,
 * they are unpublished and what is left is looked for.
 *
 * @param tell - told of everything as it happens, trouble included
 * @param signal - ends the play early; with `keep`, its right end
 * @throws where the driver does not start
 */
export async function play(
  plan: Plan,
  options: PlayOptions,
  tell: (step: Step) => void,
  signal: AbortSignal,
): Promise<void> {
  const { prepared, driverName, version, lifetime, clock, keep, issuer } = options
  const open = keep && prepared.ground === 'user-namespace'
  const pods = plan.volumes.map(({ pod }) => pod)
  const ground = { prepared, driverName, version, lifetime, clock, pods, open }
  const stage = await setStage({ ...ground, issuer: issuer?.issuer }, signal)
  const { kubelet } = stage
  try {
    const issuers = new Map(plan.volumes.map(({ spec }) => [JSON.stringify(spec.issuer), spec.issuer]))
    const signer = issuer?.description ?? 'an embedded CA'
    const started = { driver: driverName, socket: kubelet.socket, issuers: [...issuers.values()], signer, lifetime }
    tell({ is: 'started', ground: prepared.ground, ...started, volumes: plan.volumes })
    const volumes = await leaveGroups(plan.volumes, prepared.root, tell)
    const published = await publishAll(volumes, stage, clock, tell, signal)
    await perform(published, options, tell, signal)
    if (keep) {
      const targets = published.map(({ target }) => target)
      tell({
        is: 'kept',
        ground: prepared.ground,
        pid: process.pid,
        socket: kubelet.socket,
        kubeletRoot: kubelet.root,
        targets,
      })
      await aborted(signal)
    }
  } catch (error) {
    if (!signal.aborted) tell({ is: 'failed', message: messageOf(error) })
  } finally {
    tell({ is: 'left', leftovers: await leave(plan.volumes, stage, prepared.root) })
  }
}

/** Volumes that the driver did not publish, each with its own words. */
export class PublishError extends Error {
  override readonly name = 'PublishError'
  readonly code = 'PUBLISH_FAILED'

  constructor(refused: readonly string[]) {
    super(refused.join('\n'))
  }
}

async function perform(
  published: readonly PublishedVolume[],
  { renewal, clock }: PlayOptions,
  tell: (step: Step) => void,
  signal: AbortSignal,
): Promise<void> {
  const pair = choosePair(published)
  if (typeof pair === 'string') {
    tell({ is: 'not met', reason: pair })
  } else {
    tell({ is: 'met', meeting: await meetPeers(pair, 'peers') })
    for (const meeting of await meetStranger(pair, clock.now())) tell({ is: 'met', meeting })
  }
  signal.throwIfAborted()
  if (!renewal) return
  const renewed = await watchRenewals(published, clock, tell, signal)
  if (renewed === published || typeof pair === 'string') return
  const again = (volume: PublishedVolume): PublishedVolume => renewed[published.indexOf(volume)] ?? volume
  tell({
    is: 'met',
    meeting: await meetPeers({ client: again(pair.client), server: again(pair.server) }, 'renewed peers'),
  })
}

async function publishAll(
  volumes: readonly PlannedVolume[],
  { kubelet, driver, events }: Stage,
  clock: Clock,
  tell: (step: Step) => void,
  signal: AbortSignal,
): Promise<PublishedVolume[]> {
  tell({ is: 'publishing', volumes: volumes.length })
  const calls = await Promise.allSettled(volumes.map((planned) => publishVolume(kubelet, planned, signal)))
  const refused = calls.flatMap((call, index) =>
    call.status === 'rejected' ? `${describe(volumes[index])}: ${messageOf(call.reason)}` : [],
  )
  if (refused.length > 0) throw new PublishError(refused)
  const mounts = await readMountInfo()
  const reports = new Map(driver.inspect().map((report) => [report.volumeId, report]))
  const published = await Promise.all(
    volumes.map(async (planned, index): Promise<PublishedVolume> => {
      const { pod, volume, spec } = planned
      const handle = volumeHandle(pod.uid, volume.name)
      const target = targetPath(kubelet.root, pod.uid, volume.name)
      return {
        planned,
        handle,
        target,
        took: calls[index]?.status === 'fulfilled' ? calls[index].value : 0,
        view: await viewVolume(target, spec, mounts, clock.now()),
        renewAt: reports.get(handle)?.renewAt,
        events: events.get(pod.uid) ?? [],
      }
    }),
  )
  for (const volume of published) tell({ is: 'published', volume })
  const keys = new Set(published.map(({ view }) => Buffer.from(view.leaf.publicKey).toString('hex')))
  tell({ is: 'keys', volumes: published.length, different: keys.size })
  return published
}

/** Leaves a group away where this process has no right to give files to it, rather than have the driver fail. */
async function leaveGroups(
  volumes: readonly PlannedVolume[],
  root: string,
  tell: (step: Step) => void,
): Promise<readonly PlannedVolume[]> {
  const byGroup = Map.groupBy(volumes, ({ spec, pod }) => spec.fsGroup ?? pod.fsGroup)
  const left = new Set<PlannedVolume>()
  for (const [group, wanting] of byGroup) {
    if (group === undefined || (await canGiveTo(root, group))) continue
    tell({ is: 'group left', group, volumes: wanting })
    for (const planned of wanting) left.add(planned)
  }
  return volumes.map((planned) => (left.has(planned) ? withoutGroup(planned) : planned))
}

function withoutGroup({ pod, volume, spec }: PlannedVolume): PlannedVolume {
  const { [`${attributePrefix}fs-group`]: _group, ...attributes } = volume.attributes
  return { spec, volume: { ...volume, attributes }, pod: { ...pod, fsGroup: undefined } }
}

/** Unpublishes every volume, published or not: a driver answers OK for those that it does not know. */
async function leave(volumes: readonly PlannedVolume[], { kubelet, driver }: Stage, root: string) {
  const failures: string[] = []
  await Promise.all(
    volumes.map(async (planned) => {
      try {
        await unpublishVolume(kubelet, planned, AbortSignal.timeout(leavePatience))
      } catch (error) {
        failures.push(`${describe(planned)}: ${messageOf(error)}`)
      }
    }),
  )
  await driver.close()
  return findLeftovers(root, failures)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function describe(planned: PlannedVolume | undefined): string {
  return planned === undefined ? '' : `${planned.pod.namespace}/${planned.pod.name} volume ${planned.volume.name}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
