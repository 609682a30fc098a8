import { chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Driver, driverDefaults, startDriver } from '../driver/driver.ts'
import type { PodMetadataSource } from '../driver/pod-metadata.ts'
import type { Issuer, IssuerReference, PodReference } from '../issuer/issuer.ts'
import { createLocalCa, type LocalCa } from '../issuer/local-ca.ts'
import type { Clock } from '../runtime/clock.ts'
import { loadLibc } from '../runtime/libc.ts'
import { silentLog } from '../runtime/log.ts'
import { type Mounter } from '../volume/mounter.ts'
import { noPodMetadata, pickPodMetadata } from '../volume/pod-metadata.ts'
import { privateDirectory } from '../volume/private-directory.ts'
import { type SpecDefaults, standardDefaults } from '../volume/spec.ts'
import { mountCommands, systemCalls, SystemMounter } from '../volume/system-mounter.ts'
import type { PreparedGround } from './ground.ts'
import type { KubeletGround } from './kubelet.ts'
import type { PlannedPod } from './pods.ts'

/** The real driver, with a CA of its own for each issuer that is named, and the ground of a kubelet around it. */
export interface Stage {
  readonly driver: Driver
  readonly kubelet: KubeletGround
  /** What the driver would have told the owner of a pod, by the pod's UID. */
  readonly events: ReadonlyMap<string, readonly string[]>
}

/** Somebody outside of the play who signs, whatever issuer the volumes name. */
export interface PlayedIssuer {
  readonly issuer: Issuer
  /** For people: who and where. */
  readonly description: string
}

/** What a stage needs. */
export interface StageOptions {
  readonly prepared: PreparedGround
  readonly driverName: string
  readonly version: string
  /** The longest life of a certificate, in milliseconds. */
  readonly lifetime: number
  readonly clock: Clock
  /** Undefined where an embedded CA stands for each issuer that is named. */
  readonly issuer: Issuer | undefined
  /** Whose volumes will be published. */
  readonly pods: readonly PlannedPod[]
  /** Whether other processes of the user may look into this one's namespace. */
  readonly open: boolean
}

/** The name under which the play's node is known. */
export const nodeName = 'podpass-try'

/** What a node with this lifetime of certificates has as its defaults. */
export function stageDefaults(lifetime: number): SpecDefaults {
  return { ...standardDefaults, duration: lifetime, nodeName }
}

/** Starts the driver in this process, just as a node runs it, but for the issuer and the CSIDriver object. */
export async function setStage(options: StageOptions, signal: AbortSignal): Promise<Stage> {
  const { prepared, driverName, version, lifetime, clock, issuer } = options
  const socket = join(prepared.root, 'csi.sock')
  const kubeletRoot = join(prepared.root, 'kubelet')
  await mkdir(join(kubeletRoot, 'pods'), { recursive: true })
  const events = new Map<string, string[]>()
  const libc = loadLibc()
  const driver = await startDriver(
    {
      ...driverDefaults,
      // A laptop shows a few pods, and has other things to do.
      keyPool: 4,
      driverName,
      version,
      nodeId: nodeName,
      endpoint: socket,
      dataRoot: join(prepared.root, 'data'),
      registrationDirectory: undefined,
      defaults: stageDefaults(lifetime),
      strictIssuer: false,
      requireNoswap: false,
      issuerFor: issuer === undefined ? localIssuers(lifetime, clock) : () => issuer,
      mounter: mounterFor(prepared, libc),
      events: { record: (pod, type, reason, message) => recordEvent(events, pod, `${type} ${reason}: ${message}`) },
      obstacle: () => undefined,
      podMetadata: knownPods(options.pods),
      tokensInSecrets: () => false,
      // A process that cannot be dumped cannot be entered by nsenter(1) either, but by root.
      libc: libc && options.open ? { ...libc, forbidDumps: () => undefined } : libc,
      clock,
      log: silentLog,
    },
    signal,
  )
  return { driver, kubelet: { root: kubeletRoot, socket, driver: driverName, nodeName, clock }, events }
}

/**
 * Whether this process may give files to a group. In a user namespace only the mapped groups exist, and without root's rights
 * only one's own.
 */
export async function canGiveTo(root: string, group: number): Promise<boolean> {
  const probe = join(root, 'group-probe')
  await writeFile(probe, '')
  try {
    await chown(probe, -1, group)
    return true
  } catch {
    return false
  } finally {
    await rm(probe)
  }
}

/** Each issuer that volumes name is a CA of its own, as it would be in a cluster. */
function localIssuers(lifetime: number, clock: Clock): (reference: IssuerReference) => LocalCa {
  const known = new Map<string, LocalCa>()
  return (reference) => {
    const key = JSON.stringify([reference.group, reference.kind, reference.name])
    const made = known.get(key) ?? createLocalCa({ clock, maxLifetime: lifetime, commonName: reference.name })
    known.set(key, made)
    return made
  }
}

/** The labels and annotations of the manifests stand for those that the API server would tell. */
function knownPods(pods: readonly PlannedPod[]): PodMetadataSource {
  const byUid = new Map(pods.map(({ uid, metadata }) => [uid, metadata]))
  return { read: (pod, keys) => Promise.resolve(pickPodMetadata(byUid.get(pod.uid) ?? noPodMetadata, keys)) }
}

function mounterFor({ ground }: PreparedGround, libc: ReturnType<typeof loadLibc>): Mounter {
  if (ground === 'private-folder') return privateDirectory
  return new SystemMounter(libc === undefined ? mountCommands() : systemCalls(libc))
}

function recordEvent(events: Map<string, string[]>, pod: PodReference, text: string): void {
  // What is odd in the attributes is told before the play, with its line.
  if (text.startsWith('Warning VolumeAttribute:')) return
  events.set(pod.uid, [...(events.get(pod.uid) ?? []), text])
}
