import type { PodReference } from '../issuer/issuer.ts'
import { type AttributeName, type AttributeReader, expandedSubjectParts } from './attributes.ts'
import { didYouMean } from '../runtime/did-you-mean.ts'
import { expand } from './expand.ts'
import {
  dnsLabelProblem,
  isPodMetadata,
  noPodMetadata,
  type PodMetadata,
  podMetadataVariables,
  unknownMetadata,
  uriPartProblem,
  valueProblem,
} from './pod-metadata.ts'

/** The attributes in which variables are replaced. */
export const expandedAttributes = [
  'literal-subject',
  ...expandedSubjectParts,
  'dns-names',
  'uri-sans',
  'email-sans',
] as const satisfies readonly AttributeName[]

const nodeVariable = 'NODE_NAME'

export type ExpandedAttribute = (typeof expandedAttributes)[number]

/** What one place of an attribute may refer to as `$NAME` or `${NAME}`. */
export interface Variables {
  /** By name. */
  readonly values: Readonly<Record<string, string>>
  /** Why a value must not stand in this place, by name. */
  readonly refused: Readonly<Record<string, string>>
}

/**
 * The variables of a pod, as they may stand in a subject, whose values cannot reshape it: they are replaced in what was read.
 *
 * @param nodeName - undefined where the node is not known, such as before a volume is published
 * @param metadata - what was read of the pod's labels and annotations
 */
export function podVariables(
  pod: PodReference,
  nodeName: string | undefined,
  metadata: PodMetadata = noPodMetadata,
): Variables {
  const values = {
    POD_NAME: pod.name,
    POD_NAMESPACE: pod.namespace,
    POD_UID: pod.uid,
    SERVICE_ACCOUNT_NAME: pod.serviceAccount,
    ...(nodeName === undefined ? {} : { [nodeVariable]: nodeName }),
    ...podMetadataVariables(metadata),
  }
  return guard({ values, refused: {} }, { kubelet: asTheyAre, metadata: asTheyAre, problemOf: valueProblem })
}

/**
 * Variables for DNS names and e-mail addresses: a value of the kubelet that could reshape such a name becomes one label of it. What
 * Kubernetes takes as a name of the pod never does. The node, and a label or annotation of the pod, must be one.
 */
export function asLabels(variables: Variables): Variables {
  return guard(variables, { kubelet: tamely(toLabel), metadata: asTheyAre, problemOf: dnsLabelProblem })
}

/** Variables for URIs behind their host: a value that could reshape one is percent-encoded (RFC 3986 §2.1). */
export function asUriParts(variables: Variables): Variables {
  return guard(variables, { kubelet: tamely(encodePart), metadata: encodePart, problemOf: uriPartProblem })
}

/** Variables for a URI's scheme and host, in which nothing can be encoded: the node, a label or an annotation must be a DNS label. */
export function asUriHost(variables: Variables): Variables {
  return guard(variables, { kubelet: tamely(encodePart), metadata: asTheyAre, problemOf: dnsLabelProblem })
}

/** How values are written in one kind of place. */
interface Manner {
  /** For what the kubelet says. */
  readonly kubelet: (value: string) => string
  /** For what whoever makes the pod writes. */
  readonly metadata: (value: string) => string
  /** What is wrong with a value of `metadata`, or with the node's name, which may be of several labels. */
  readonly problemOf: (value: string) => string | undefined
}

function guard({ values, refused }: Variables, manner: Manner): Variables {
  const kept: Record<string, string> = {}
  const removed: Record<string, string> = { ...refused }
  for (const [name, value] of Object.entries(values)) {
    const problem = isPodMetadata(name) || name === nodeVariable ? manner.problemOf(value) : undefined
    if (problem !== undefined)
      removed[name] = `the value ${JSON.stringify(value)} of ${name} cannot stand here: ${problem}`
    else kept[name] = (isPodMetadata(name) ? manner.metadata : manner.kubelet)(value)
  }
  return { values: kept, refused: removed }
}

function asTheyAre(value: string): string {
  return value
}

/** Leaves alone what every name of Kubernetes consists of. */
function tamely(tame: (value: string) => string): (value: string) => string {
  return (value) => (/^[A-Za-z0-9._:-]*$/.test(value) ? value : tame(value))
}

function toLabel(value: string): string {
  return value
    .replaceAll(/[^A-Za-z0-9-]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '')
}

function encodePart(value: string): string {
  return encodeURIComponent(value.toWellFormed())
}

/** A text with its variables replaced; undefined, and a problem for each, where it refers to some that there are not. */
export function expandText(
  reader: AttributeReader,
  name: ExpandedAttribute,
  template: string,
  variables: Variables,
): string | undefined {
  const { text, unknown } = expand(template, variables.values)
  for (const variable of unknown) reader.problem(name, unknownProblem(variable, variables))
  return unknown.length === 0 ? text : undefined
}

function unknownProblem(variable: string, { values, refused }: Variables): string {
  const refusal = Object.hasOwn(refused, variable) ? refused[variable] : unknownMetadata(variable)
  if (refusal !== undefined) return refusal
  const known = Object.keys(values).filter((name) => !isPodMetadata(name))
  const guess = didYouMean(variable, known)
  const hint = guess === undefined ? '' : `, did you mean ${guess}?`
  const all = [...known, "POD_LABELS['key']", "POD_ANNOTATIONS['key']"].join(' ')
  return `undefined variable ${JSON.stringify(variable)}${hint} (known variables: ${all})`
}

/** Items are expanded after their list was split, so that no value can add one. */
export function expandItems(
  reader: AttributeReader,
  name: ExpandedAttribute,
  items: readonly string[],
  variables: Variables,
): readonly string[] {
  return items.map((item) => expandText(reader, name, item, variables)).filter((item) => item !== undefined)
}

/**
 * URIs, whose scheme and host have other rules than what is behind them. The slashes of `${POD_LABELS['example.com/key']}` divide
 * nothing.
 */
export function expandUris(reader: AttributeReader, items: readonly string[], variables: Variables): readonly string[] {
  const [host, parts] = [asUriHost(variables), asUriParts(variables)]
  return items.flatMap((item) => {
    const [, head = '', rest = ''] =
      /^((?:\$\{[^}]*\}|\$(?!\{)|[^$:/?#])*:\/\/(?:\$\{[^}]*\}|\$(?!\{)|[^$/?#])*|)(.*)$/s.exec(item) ?? []
    const texts = [expandText(reader, 'uri-sans', head, host), expandText(reader, 'uri-sans', rest, parts)]
    return texts.includes(undefined) ? [] : [texts.join('')]
  })
}
