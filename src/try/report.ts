import type { Certificate } from '../x509/certificate.ts'
import type { Ground } from './ground.ts'
import type { SideOutcome } from './handshake.ts'
import type { Leftovers } from './leftovers.ts'
import type { Readings } from './pair-reader.ts'
import type { PlannedVolume } from './plan.ts'
import type { FileView, MountView } from './pod-view.ts'
import type { Note, Problem } from '../manifest/problem.ts'
import { type PublishedVolume, type Step, isGood } from './step.ts'

/** A certificate for machines. Times are RFC 3339. */
export interface CertificateReport {
  readonly subject: string
  readonly issuer: string
  /** Hexadecimal. */
  readonly serial: string
  readonly names: Certificate['names']
  readonly usages: readonly string[]
  readonly notBefore: string
  readonly notAfter: string
  /** SHA-256 of the DER, hexadecimal. */
  readonly fingerprint: string
}

/** Which volume of which pod. */
export interface VolumeName {
  readonly namespace: string
  readonly pod: string
  readonly volume: string
}

/** One published volume for machines. */
export interface VolumeReport extends VolumeName {
  /** The object of the manifest that it comes from. */
  readonly owner: string
  readonly podUid: string
  readonly serviceAccount: string
  readonly volumeId: string
  readonly target: string
  readonly publishedInMilliseconds: number
  /** Absent where nothing is mounted. */
  readonly mount?: MountView
  readonly files: readonly FileView[]
  readonly certificate: CertificateReport
  readonly key: object
  readonly keyMatches: boolean
  readonly chain: { readonly verified: boolean; readonly subjects?: readonly string[]; readonly reason?: string }
  readonly renewAt?: string
  readonly events: readonly string[]
}

/** A whole play as one JSON document. Parts that were not reached are absent. */
export interface TryReport {
  /** Whether everything was as it must be. */
  readonly ok: boolean
  /** What is wrong with what was given; then nothing was played. */
  readonly problems?: readonly Problem[]
  readonly notes: readonly Note[]
  readonly place?: Ground
  readonly driver?: { readonly name: string; readonly socket: string }
  readonly issuers?: readonly object[]
  readonly lifetimeSeconds?: number
  /** The groups that files could not be given to here. */
  readonly groupsLeft: readonly number[]
  readonly volumes: readonly VolumeReport[]
  readonly keys?: { readonly volumes: number; readonly different: number }
  readonly handshakes: readonly {
    readonly kind: string
    readonly client: string
    readonly server: string
    readonly clientSide: SideOutcome
    readonly serverSide: SideOutcome
    readonly asExpected: boolean
  }[]
  readonly notShown?: string
  readonly renewals: readonly (VolumeName & {
    readonly dueAt: string
    readonly seenAt: string
    readonly serialBefore: string
    readonly serialAfter: string
    readonly newKey: boolean
  })[]
  readonly notRenewed?: string
  readonly reads?: Readings
  /** With --keep: what runs, until it is told to end. */
  readonly kept?: { readonly pid: number; readonly socket: string; readonly targets: readonly string[] }
  readonly error?: string
  /** The signal that ended the play before its time. */
  readonly interrupted?: string
  readonly leftovers?: Leftovers
}

/** The report of a play of which nothing came. */
export function reportProblems(problems: readonly Problem[]): TryReport {
  return { ok: false, problems, notes: [], groupsLeft: [], volumes: [], handshakes: [], renewals: [] }
}

/**
 * Adds up the steps of a play.
 *
 * @param interrupted - the signal that ended it before its time
 */
export function reportSteps(steps: readonly Step[], notes: readonly Note[], interrupted?: string): TryReport {
  const of = <Kind extends Step['is']>(kind: Kind) =>
    steps.filter((step): step is Extract<Step, { is: Kind }> => step.is === kind)
  const [started] = of('started')
  const [keys] = of('keys')
  const [notMet] = of('not met')
  const [notRenewed] = of('not renewed')
  const [read] = of('read')
  const [kept] = of('kept')
  const [failed] = of('failed')
  const [left] = of('left')
  return {
    ok: interrupted === undefined && steps.every(isGood),
    notes,
    ...(started && {
      place: started.ground,
      driver: { name: started.driver, socket: started.socket },
      issuers: started.issuers,
      lifetimeSeconds: started.lifetime / 1000,
    }),
    groupsLeft: of('group left').map(({ group }) => group),
    volumes: of('published').map(({ volume }) => reportVolume(volume)),
    ...(keys && { keys: { volumes: keys.volumes, different: keys.different } }),
    handshakes: of('met').map(({ meeting: { kind, client, server, outcome, asExpected } }) => ({
      kind,
      client,
      server,
      clientSide: outcome.client,
      serverSide: outcome.server,
      asExpected,
    })),
    ...(notMet && { notShown: notMet.reason }),
    renewals: of('renewed').map(({ renewal: { planned, before, after, dueAt, seenAt } }) =>
      Object.assign(nameOf(planned), {
        dueAt: formatDate(dueAt),
        seenAt: formatDate(seenAt),
        serialBefore: before.serial,
        serialAfter: after.serial,
        newKey: !Buffer.from(before.publicKey).equals(after.publicKey),
      }),
    ),
    ...(notRenewed && { notRenewed: notRenewed.reason }),
    ...(read && { reads: read.readings }),
    ...(kept && { kept: { pid: kept.pid, socket: kept.socket, targets: kept.targets } }),
    ...(failed && { error: failed.message }),
    ...(interrupted !== undefined && { interrupted }),
    ...(left && { leftovers: left.leftovers }),
  }
}

function reportVolume({ planned, handle, target, took, view, renewAt, events }: PublishedVolume): VolumeReport {
  const { pod } = planned
  const { leaf, chain } = view
  return {
    ...nameOf(planned),
    owner: pod.owner,
    podUid: pod.uid,
    serviceAccount: pod.serviceAccount,
    volumeId: handle,
    target,
    publishedInMilliseconds: Math.round(took),
    ...(view.mount && { mount: view.mount }),
    files: view.files,
    certificate: {
      subject: leaf.subject,
      issuer: leaf.issuer,
      serial: leaf.serial,
      names: leaf.names,
      usages: leaf.usages,
      notBefore: formatDate(leaf.notBefore),
      notAfter: formatDate(leaf.notAfter),
      fingerprint: leaf.fingerprint,
    },
    key: view.key ?? {},
    keyMatches: view.keyMatches,
    chain: chain.ok
      ? { verified: true, subjects: chain.path.map(({ subject }) => subject) }
      : { verified: false, reason: chain.reason },
    ...(renewAt !== undefined && { renewAt: formatDate(renewAt) }),
    events,
  }
}

function nameOf({ pod, volume }: PlannedVolume): VolumeName {
  return { namespace: pod.namespace, pod: pod.name, volume: volume.name }
}

function formatDate(at: number): string {
  return new Date(at).toISOString()
}
