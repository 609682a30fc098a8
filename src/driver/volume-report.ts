import { basename, dirname } from 'node:path'
import type { IssuerReference, PodReference } from '../issuer/issuer.ts'
import { formerFolder } from './former-metadata.ts'

/** A volume for people: what `podpass driver inspect` shows. Times are epoch milliseconds. */
export interface VolumeReport {
  readonly volumeId: string
  /** Undefined, as are pod and issuer, where an unmanaged volume does not even tell that. */
  readonly target: string | undefined
  readonly directory: string
  readonly pod: PodReference | undefined
  readonly issuer: IssuerReference | undefined
  /** An unmanaged one is in place, cannot be read and so is not renewed. */
  readonly state: 'requesting' | 'issued' | 'renewing' | 'unmanaged'
  /** Whether a pod may be running with it. */
  readonly shown: boolean
  /** Whether containers may run that see files which can no longer be renewed. */
  readonly detached: boolean
  /** Whether the former driver has made it, so that it stays in that driver's folder until its unpublish. */
  readonly former: boolean
  /** How far the work is that goes on, for people; undefined where none does. */
  readonly progress: string | undefined
  readonly request: string | undefined
  readonly issued: { readonly notBefore: number; readonly notAfter: number; readonly serial: string } | undefined
  /** When the next attempt to renew is made. */
  readonly renewAt: number | undefined
  /** What the last attempt failed with, until one succeeds. */
  readonly lastError: string | undefined
  readonly lastErrorAt: number | undefined
}

/** Whether the folder of a volume's files lies where the former driver kept its volumes. */
export function isFormer(directory: string): boolean {
  return basename(dirname(directory)) === formerFolder
}
