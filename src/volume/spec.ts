import { isIP } from 'node:net'
import type { IssuerReference, PodReference } from '../issuer/issuer.ts'
import type { KeySpec } from '../x509/key.ts'
import type { SubjectNames } from '../x509/general-names.ts'
import { type KeyUsage, keyUsages } from '../x509/key-usage.ts'
import {
  type AttributeName,
  type AttributeProblem,
  AttributeReader,
  attributeNames,
  attributePrefix,
  kubeletKeys,
  kubeletPrefix,
  mostNotes,
} from './attributes.ts'
import { didYouMean } from './did-you-mean.ts'
import { expand } from './expand.ts'
import { type FileNames, readFileNames } from './file-names.ts'
import { DurationError, parseGoDuration } from '../runtime/go-duration.ts'

/** A volume as its pod's author wants it: parsed once, so that nothing behind it looks at raw attributes. */
export interface VolumeSpec {
  readonly pod: PodReference
  readonly issuer: IssuerReference
  readonly commonName: string | undefined
  readonly names: SubjectNames
  /** The lifetime to ask for, in milliseconds. */
  readonly duration: number
  readonly isCA: boolean
  readonly usages: readonly KeyUsage[]
  readonly key: {
    readonly spec: KeySpec
    readonly encoding: 'PKCS1' | 'PKCS8'
    /** Whether a renewal keeps the key. */
    readonly reuse: boolean
  }
  readonly files: FileNames
  /** Adds links under the file names of the first csi-driver. */
  readonly legacyLinks: boolean
  /** The group that may read the files; it beats the pod's own fsGroup. */
  readonly fsGroup: number | undefined
  readonly renewal: {
    readonly automatic: boolean
    /** How long before its end a certificate is renewed, in milliseconds. */
    readonly before: number | undefined
  }
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
}

export const standardDefaults: SpecDefaults = { duration: 720 * 3600_000, layout: 'default', requireSan: false }

export type VolumeSpecResult =
  | { readonly ok: true; readonly spec: VolumeSpec; readonly warnings: readonly AttributeProblem[] }
  | { readonly ok: false; readonly problems: readonly AttributeProblem[] }

/**
 * Reads a volume context: the attributes of the pod's author, and the keys that the kubelet put over them.
 *
 * @param context - as CSI hands it over (NodePublishVolumeRequest.volume_context)
 * @returns the volume, or everything that is wrong with it at once
 */
export function parseVolumeSpec(
  context: Readonly<Record<string, string>>,
  defaults: SpecDefaults = standardDefaults,
): VolumeSpecResult {
  const reader = new AttributeReader(context)
  const pod = readPod(context, reader)
  const issuer = {
    name: reader.text('issuer-name') ?? '',
    kind: reader.text('issuer-kind') ?? 'Issuer',
    group: reader.text('issuer-group') ?? 'cert-manager.io',
  }
  if (issuer.name === '') reader.problem('issuer-name', 'required: the name of the issuer that signs')
  const variables = {
    POD_NAME: pod.name,
    POD_NAMESPACE: pod.namespace,
    POD_UID: pod.uid,
    SERVICE_ACCOUNT_NAME: pod.serviceAccount,
  }
  const commonName = readExpanded(reader, 'common-name', variables)
  const names = readNames(reader, variables, defaults)
  const spec: VolumeSpec = {
    pod,
    issuer,
    commonName,
    names,
    duration: readDuration(reader, 'duration') ?? defaults.duration,
    isCA: reader.flag('is-ca'),
    usages: readUsages(reader),
    key: readKey(reader),
    files: readFileNames(reader),
    legacyLinks: reader.choice('layout', ['default', 'legacy'], defaults.layout) === 'legacy',
    fsGroup: readGroup(reader),
    renewal: { automatic: !reader.flag('disable-auto-renew'), before: readDuration(reader, 'renew-before') },
    annotations: readAnnotations(context),
  }
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

function readExpanded(
  reader: AttributeReader,
  name: AttributeName,
  variables: Readonly<Record<string, string>>,
): string | undefined {
  const template = reader.text(name)
  if (template === undefined) return undefined
  return expandOrReport(reader, name, template, variables)
}

function expandOrReport(
  reader: AttributeReader,
  name: AttributeName,
  template: string,
  variables: Readonly<Record<string, string>>,
): string | undefined {
  const { text, unknown } = expand(template, variables)
  for (const variable of unknown) {
    const guess = didYouMean(variable, Object.keys(variables))
    const hint = guess === undefined ? '' : `, did you mean ${guess}?`
    const known = Object.keys(variables).join(' ')
    reader.problem(name, `undefined variable ${JSON.stringify(variable)}${hint} (known variables: ${known})`)
  }
  return unknown.length === 0 ? text : undefined
}

/** Items are expanded after the list is split, so that no value can add a name. */
function readExpandedList(
  reader: AttributeReader,
  name: AttributeName,
  variables: Readonly<Record<string, string>>,
): readonly string[] {
  return reader
    .list(name)
    .map((item) => expandOrReport(reader, name, item, variables))
    .filter((item) => item !== undefined)
}

function readNames(
  reader: AttributeReader,
  variables: Readonly<Record<string, string>>,
  defaults: SpecDefaults,
): SubjectNames {
  const names = {
    dns: readExpandedList(reader, 'dns-names', variables),
    ip: reader.list('ip-sans'),
    // A scheme means the same in any case (RFC 3986 §3.1); issuers written in Go answer with lower case.
    uri: readExpandedList(reader, 'uri-sans', variables).map((uri) =>
      uri.replace(/^[A-Za-z][A-Za-z0-9+.-]*:/, (scheme) => scheme.toLowerCase()),
    ),
    email: [],
  }
  for (const name of names.dns) {
    const problem = asciiProblem(name)
    if (problem !== undefined) reader.problem('dns-names', `invalid value ${JSON.stringify(name)}: ${problem}`)
  }
  for (const address of names.ip) {
    if (isIP(address) === 0 || address.includes('%')) {
      reader.problem('ip-sans', `invalid value ${JSON.stringify(address)}: must be an IPv4 or IPv6 address`)
    }
  }
  for (const uri of names.uri) {
    const problem = uriProblem(uri)
    if (problem !== undefined) reader.problem('uri-sans', `invalid value ${JSON.stringify(uri)}: ${problem}`)
  }
  if ((['dns-names', 'ip-sans', 'uri-sans'] as const).every((name) => reader.list(name).length === 0)) {
    const message = 'no DNS, IP or URI name is asked for, so most peers cannot verify the certificate'
    if (defaults.requireSan) reader.problem('dns-names', message)
    else reader.warning('dns-names', message)
  }
  return names
}

function asciiProblem(name: string): string | undefined {
  if (name === '') return 'is empty once its variables are replaced'
  // oxlint-disable-next-line no-control-regex -- IA5String is ASCII, RFC 5280 §4.2.1.6
  return /^[\u0021-\u007e]+$/.test(name) ? undefined : 'must be ASCII without white space'
}

/**
 * What is wrong with a URI. Most issuers are written in Go and write what they have read: characters that RFC 3986 lacks would come
 * back escaped, and a host with empty parts not at all (crypto/x509), so the answer could never have the name that was asked for.
 */
function uriProblem(uri: string): string | undefined {
  const problem = asciiProblem(uri)
  if (problem !== undefined) return problem
  if (/[^\w.~:/?#[\]@!$&'()*+,;=%-]|%(?![0-9A-Fa-f]{2})/.test(uri))
    return 'must write characters that RFC 3986 lacks as %XX'
  if (/^\/(?!\/)/.test(uri)) return undefined
  if (!/^[a-z][a-z0-9+.-]*:/.test(uri)) return 'must be an absolute URI, such as spiffe://cluster.local/ns/default'
  if (!URL.canParse(uri)) return 'must be an absolute URI'
  const { host } = new URL(uri)
  if (host === '') return undefined
  return host.includes('%') || host.split('.').includes('')
    ? 'must have a host name without empty or escaped parts'
    : undefined
}

function readDuration(reader: AttributeReader, name: 'duration' | 'renew-before'): number | undefined {
  const text = reader.text(name)
  if (text === undefined) return undefined
  try {
    const duration = parseGoDuration(text)
    if (duration > 0) return duration
    reader.problem(name, `invalid value ${JSON.stringify(text)}: must be longer than 0`)
  } catch (error) {
    if (!(error instanceof DurationError)) throw error
    reader.problem(
      name,
      `invalid value ${JSON.stringify(text)}: must be a duration such as 720h or 1h30m: ${error.message}`,
    )
  }
  return undefined
}

function readUsages(reader: AttributeReader): readonly KeyUsage[] {
  const listed = reader.list('key-usages')
  if (listed.length === 0) return ['digital signature', 'key encipherment']
  const usages: KeyUsage[] = []
  for (const item of listed) {
    const usage = keyUsages.find((known) => known === item)
    if (usage === undefined) {
      const guess = didYouMean(item, keyUsages)
      const hint = guess === undefined ? `one of ${keyUsages.join(', ')}` : `did you mean ${JSON.stringify(guess)}?`
      reader.problem('key-usages', `invalid value ${JSON.stringify(item)}: not a key usage, ${hint}`)
    } else if (!usages.includes(usage)) {
      usages.push(usage)
    }
  }
  return usages
}

function readKey(reader: AttributeReader): VolumeSpec['key'] {
  const algorithm = reader.choice('key-algorithm', ['RSA', 'ECDSA', 'Ed25519'], 'RSA')
  const encoding = reader.choice('key-encoding', ['PKCS1', 'PKCS8'], algorithm === 'RSA' ? 'PKCS1' : 'PKCS8')
  if (algorithm !== 'RSA' && encoding === 'PKCS1') {
    reader.problem('key-encoding', `invalid value "PKCS1": an ${algorithm} key cannot be written as PKCS1, use PKCS8`)
  }
  return { spec: readKeySpec(reader, algorithm), encoding, reuse: reader.flag('reuse-private-key') }
}

function readKeySpec(reader: AttributeReader, algorithm: KeySpec['algorithm']): KeySpec {
  const text = reader.text('key-size')
  const invalid = (allowed: string): void => {
    reader.problem('key-size', `invalid value ${JSON.stringify(text)}: ${allowed}`)
  }
  switch (algorithm) {
    case 'RSA': {
      const size = text === undefined ? 2048 : wholeNumber(text)
      if (size === undefined || size < 2048 || size > 8192) invalid('an RSA key has 2048 to 8192 bits')
      return { algorithm, size: size ?? 2048 }
    }
    case 'ECDSA': {
      const size = text ?? '256'
      if (size === '256' || size === '384' || size === '521')
        return { algorithm, size: Number(size) as 256 | 384 | 521 }
      invalid('an ECDSA key has 256, 384 or 521 bits')
      return { algorithm, size: 256 }
    }
    case 'Ed25519':
      if (text !== undefined) invalid('an Ed25519 key has one size only, leave it out')
      return { algorithm }
  }
}

function wholeNumber(text: string): number | undefined {
  return /^\+?\d{1,15}$/.test(text) ? Number(text) : undefined
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
  const known = new Set<string>(attributeNames.map((name) => attributePrefix + name))
  const unknown = Object.keys(context).filter((key) => key.startsWith(attributePrefix) && !known.has(key))
  for (const key of unknown.slice(0, mostNotes)) {
    const guess = didYouMean(key.slice(attributePrefix.length), attributeNames)
    const hint = guess === undefined ? '' : `, did you mean ${attributePrefix}${guess}?`
    reader.warningOfKey(key, `unknown attribute, ignored${hint}`)
  }
}
