import type { IssuerReference } from '../issuer/issuer.ts'
import type { Certificate } from '../x509/certificate.ts'
import type { Ground } from './ground.ts'
import type { Outcome } from './handshake.ts'
import type { Leftovers } from './leftovers.ts'
import type { Readings } from './pair-reader.ts'
import type { PlannedVolume } from './plan.ts'
import type { PodView } from './pod-view.ts'

/** A volume that was published, and what its pod finds in it. */
export interface PublishedVolume {
  readonly planned: PlannedVolume
  readonly handle: string
  readonly target: string
  /** How long the kubelet waited, in milliseconds. */
  readonly took: number
  readonly view: PodView
  /** When the driver will renew, epoch milliseconds; undefined where it never does. */
  readonly renewAt: number | undefined
  /** What the driver would have told the pod's owner by events. */
  readonly events: readonly string[]
}

/** What somebody is called whom only the CA tells from the pod that it claims to be. */
export const stranger = 'a stranger'

/** Two ends that meet, and what was to be expected. */
export interface Meeting {
  readonly kind: 'peers' | 'stranger calls' | 'stranger answers' | 'renewed peers'
  /** `namespace/pod`, or {@link stranger}. */
  readonly client: string
  readonly server: string
  readonly outcome: Outcome
  /** Whether it went as it must: two peers agree, a stranger is refused. */
  readonly asExpected: boolean
}

/** A renewal, as the reader in the pod saw it. */
export interface Renewal {
  readonly planned: PlannedVolume
  readonly before: Certificate
  readonly after: Certificate
  /** When it was due and when it was seen, epoch milliseconds. */
  readonly dueAt: number
  readonly seenAt: number
}

/** What has happened in a play, in the order in which it is told. */
export type Step =
  | {
      readonly is: 'started'
      readonly ground: Ground
      readonly driver: string
      readonly socket: string
      readonly issuers: readonly IssuerReference[]
      /** Who signs for all of them, for people. */
      readonly signer: string
      /** Of certificates, in milliseconds. */
      readonly lifetime: number
      readonly volumes: readonly PlannedVolume[]
    }
  /** Volumes whose files stay with the user's own group, since this system does not let them be given to theirs. */
  | { readonly is: 'group left'; readonly group: number; readonly volumes: readonly PlannedVolume[] }
  | { readonly is: 'publishing'; readonly volumes: number }
  | { readonly is: 'published'; readonly volume: PublishedVolume }
  | { readonly is: 'keys'; readonly volumes: number; readonly different: number }
  | { readonly is: 'met'; readonly meeting: Meeting }
  | { readonly is: 'not met'; readonly reason: string }
  | { readonly is: 'waiting'; readonly until: number; readonly now: number; readonly readings: Readings }
  | { readonly is: 'renewed'; readonly renewal: Renewal }
  | { readonly is: 'not renewed'; readonly reason: string; readonly asExpected: boolean }
  | { readonly is: 'read'; readonly readings: Readings }
  | {
      readonly is: 'kept'
      readonly ground: Ground
      /** The process whose namespace holds the mounts. */
      readonly pid: number
      readonly socket: string
      /** In the place of /var/lib/kubelet. */
      readonly kubeletRoot: string
      readonly targets: readonly string[]
    }
  | { readonly is: 'failed'; readonly message: string }
  | { readonly is: 'left'; readonly leftovers: Leftovers }

/** Whether a step is as it must be. */
export function isGood(step: Step): boolean {
  switch (step.is) {
    case 'published': {
      const { keyMatches, chain } = step.volume.view
      return keyMatches && chain.ok
    }
    case 'keys':
      return step.volumes === step.different
    case 'met':
      return step.meeting.asExpected
    case 'not renewed':
      return step.asExpected
    case 'read':
      return step.readings.mixed === 0
    case 'failed':
      return false
    case 'left':
      return Object.values(step.leftovers).every((found: readonly string[]) => found.length === 0)
    case 'started':
    case 'group left':
    case 'publishing':
    case 'not met':
    case 'waiting':
    case 'renewed':
    case 'kept':
      return true
  }
}
