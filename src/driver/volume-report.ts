import type { IssuerReference, PodReference } from '../issuer/issuer.ts'

/** A volume for people: what `podpass driver inspect` shows. Times are epoch milliseconds. */
export interface VolumeReport {
  readonly volumeId: string
  readonly target: string
  readonly directory: string
  readonly pod: PodReference
  readonly issuer: IssuerReference
  readonly state: 'requesting' | 'issued' | 'renewing'
  /** Whether a pod may be running with it. */
  readonly shown: boolean
  readonly request: string | undefined
  readonly issued: { readonly notBefore: number; readonly notAfter: number; readonly serial: string } | undefined
  /** When the next attempt to renew is made. */
  readonly renewAt: number | undefined
  /** What the last attempt failed with, until one succeeds. */
  readonly lastError: string | undefined
}
