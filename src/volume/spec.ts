import type { IssuerReference, PodReference } from '../issuer/issuer.ts'
import type { SubjectNames } from '../x509/general-names.ts'
import type { KeyUsage } from '../x509/key-usage.ts'
import { commonNameOf, type Subject } from '../x509/name.ts'
import { readNames } from './alternative-names.ts'
import {
  type AttributeProblem,
  AttributeReader,
  attributeNames,
  attributePrefix,
  isKnownKey,
  kubeletKeys,
  kubeletPrefix,
  mostNotes,
  wholeNumber,
} from './attributes.ts'
import { didYouMean } from '../runtime/did-you-mean.ts'
import { type FileNames, readFileNames } from './file-names.ts'
import { type KeyChoice, readKey } from './key-choice.ts'
import { type Keystores, readKeystores } from './keystores.ts'
import type { PodMetadata } from './pod-metadata.ts'
import { readRenewalLead } from './renewal-lead.ts'
import type { RenewalRules } from './renewal-plan.ts'
import { readRenewalWindows } from './renewal-windows.ts'
import { readRequestOptions, readUsages, type RequestOptions } from './request-options.ts'
import { reportSignerProblems, signerGroup } from './signer-rules.ts'
import { readSubject } from './subject.ts'
import { podVariables } from './variables.ts'

/** A volume as its pod's author wants it: parsed once, so that nothing behind it looks at raw attributes. */
export interface VolumeSpec {
  readonly pod: PodReference
  readonly issuer: IssuerReference
  readonly subject: Subject
  /** That of the subject. */
  readonly commonName: string | undefined
  readonly names: SubjectNames
  /** The lifetime to ask for, in milliseconds. */
  readonly duration: number
  readonly isCA: boolean
  readonly usages: readonly KeyUsage[]
  readonly request: RequestOptions
  readonly key: KeyChoice
  readonly files: FileNames
  readonly keystores: Keystores
  /** Adds links under the file names of the first csi-driver. */
  readonly legacyLinks: boolean
  /** The group that may read the files; it beats the pod's own fsGroup. */
  readonly fsGroup: number | undefined
  readonly renewal: RenewalRules & { readonly automatic: boolean }
  /** Attributes of other domains, handed on as annotations of the request. */
  readonly annotations: Readonly<Record<string, string>>
}

/** What the administrator, not the pod's author, decides. */
export interface SpecDefaults {
  /** In milliseconds. */
  readonly duration: number
  readonly layout: 'default' | 'legacy'
  /** Whether a volume without any DNS, IP or URI name is refused. */
  readonly requireSan: boolean
  /** What `NODE_NAME` stands for. */
  readonly nodeName?: string
  /** What the volume's attributes refer to of its pod's labels and annotations. */
  readonly podMetadata?: PodMetadata | undefined
}

export const standardDefaults: SpecDefaults = { duration: 720 * 3600_000, layout: 'default', requireSan: false }

export type VolumeSpecResult =
  | { readonly ok: true; readonly spec: VolumeSpec; readonly warnings: readonly AttributeProblem[] }
  | { readonly ok: false; readonly problems: readonly AttributeProblem[] }

/**
 * Reads a volume context: the attributes of the pod's author, and the keys that the kubelet put over them.
 *
 * @param context - as CSI hands it over (NodePublishVolumeRequest.volume_context), with passwords put over it (passwords.ts)
 * @returns the volume, or everything that is wrong with it at once
 */
export function parseVolumeSpec(
  context: Readonly<Record<string, string>>,
  defaults: SpecDefaults = standardDefaults,
): VolumeSpecResult {
  const reader = new AttributeReader(context)
  const pod = readPod(context, reader)
  const group = reader.text('issuer-group') ?? 'cert-manager.io'
  const issuer = {
    name: reader.text('issuer-name') ?? '',
    kind: reader.text('issuer-kind') ?? (group === signerGroup ? 'Signer' : 'Issuer'),
    group,
  }
  if (issuer.name === '') reader.problem('issuer-name', 'required: the name of the issuer that signs')
  const variables = podVariables(pod, defaults.nodeName, defaults.podMetadata)
  const subject = readSubject(reader, variables)
  const names = readNames(reader, variables, defaults.requireSan)
  const isCA = reader.flag('is-ca')
  const key = readKey(reader)
  const request = readRequestOptions(reader, key.spec.algorithm, isCA)
  const keystores = readKeystores(reader)
  const spec: VolumeSpec = {
    pod,
    issuer,
    subject,
    commonName: commonNameOf(subject),
    names,
    duration: reader.duration('duration') ?? defaults.duration,
    isCA,
    usages: readUsages(reader, request.encodeUsages),
    request,
    key,
    files: readFileNames(reader, {
      pkcs12: keystores.pkcs12 !== undefined,
      jks: keystores.jks !== undefined,
    }),
    keystores,
    legacyLinks: reader.choice('layout', ['default', 'legacy'], defaults.layout) === 'legacy',
    fsGroup: readGroup(reader),
    renewal: readRenewal(reader),
    annotations: readAnnotations(context),
  }
  if (group === signerGroup) reportSignerProblems(reader, spec)
  reportUnknown(context, reader)
  if (reader.problems.length > 0) return { ok: false, problems: reader.problems }
  return { ok: true, spec, warnings: reader.warnings }
}

function readPod(context: Readonly<Record<string, string>>, reader: AttributeReader): PodReference {
  const key = (attribute: string): string => {
    const value = context[attribute] ?? ''
    if (value === '') {
      reader.problemOfKey(attribute, 'required: the kubelet sets it when the CSIDriver object has podInfoOnMount: true')
    }
    return value
  }
  if (context[kubeletKeys.ephemeral] !== 'true') {
    const message = 'must be "true": only inline (ephemeral) volumes are served, and the CSIDriver object must say so'
    reader.problemOfKey(kubeletKeys.ephemeral, message)
  }
  return {
    name: key(kubeletKeys.podName),
    namespace: key(kubeletKeys.podNamespace),
    uid: key(kubeletKeys.podUid),
    serviceAccount: context[kubeletKeys.serviceAccount] ?? '',
  }
}

function readRenewal(reader: AttributeReader): VolumeSpec['renewal'] {
  const automatic = !reader.flag('disable-auto-renew')
  const windows = readRenewalWindows(reader)
  if (!automatic && reader.text('renewal-windows') !== undefined) {
    const message = `there is nothing to renew with ${attributePrefix}disable-auto-renew: leave out one of them`
    reader.problem('renewal-windows', message)
  }
  return { automatic, before: readRenewalLead(reader), windows }
}

/** The largest group id: 2^32 − 1 means "leave it as it is" to chown(2), so it is no group. */
const largestGroup = 2 ** 32 - 2

function readGroup(reader: AttributeReader): number | undefined {
  const text = reader.text('fs-group')
  if (text === undefined) return undefined
  const group = wholeNumber(text)
  if (group !== undefined && group >= 1 && group <= largestGroup) return group
  reader.problem('fs-group', `invalid value ${JSON.stringify(text)}: must be a group id from 1 to ${largestGroup}`)
  return undefined
}

function readAnnotations(context: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const annotations: Record<string, string> = {}
  for (const [key, value] of Object.entries(context)) {
    if (key.startsWith(attributePrefix) || key.startsWith(kubeletPrefix) || !/^[^/]+\/./.test(key)) continue
    annotations[key] = value
  }
  return annotations
}

function reportUnknown(context: Readonly<Record<string, string>>, reader: AttributeReader): void {
  const unknown = Object.keys(context).filter((key) => key.startsWith(attributePrefix) && !isKnownKey(key))
  for (const key of unknown.slice(0, mostNotes)) {
    const guess = didYouMean(key.slice(attributePrefix.length), attributeNames)
    const hint = guess === undefined ? '' : `, did you mean ${attributePrefix}${guess}?`
    reader.warningOfKey(key, `unknown attribute, ignored${hint}`)
  }
}
