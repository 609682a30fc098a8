/** Labels and annotations of a pod, by their keys. */
export interface PodMetadata {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** Keys of labels and annotations. */
export interface PodMetadataKeys {
  readonly labels: readonly string[]
  readonly annotations: readonly string[]
}

export const noPodMetadata: PodMetadata = { labels: {}, annotations: {} }

/** The longest value that takes part in a name, in characters. Annotations may have 256 KiB, of which a name has no use. */
const longestValue = 256

/**
 * The labels and annotations that texts refer to, written as variables of the names `POD_LABELS['key']` and `POD_ANNOTATIONS['key']`,
 * after the downward API's `metadata.labels['key']`. To Go's `os.Expand`, and so to {@link expand}, `${POD_LABELS['key']}` is one
 * variable, whatever characters of a key it has; the Go csi-driver refuses it as unknown.
 *
 * @returns undefined where they refer to none
 */
export function podMetadataReferences(texts: readonly string[]): PodMetadataKeys | undefined {
  const labels = new Set<string>()
  const annotations = new Set<string>()
  for (const text of texts) {
    for (const [, kind, key = ''] of text.matchAll(/POD_(LABELS|ANNOTATIONS)\['([^'\]]+)'\]/g)) {
      if (kind === 'LABELS') labels.add(key)
      else annotations.add(key)
    }
  }
  return labels.size + annotations.size === 0 ? undefined : { labels: [...labels], annotations: [...annotations] }
}

/** What a pod has of the labels and annotations that are asked for. */
export function pickPodMetadata(pod: Partial<PodMetadata>, keys: PodMetadataKeys): PodMetadata {
  return { labels: pick(pod.labels, keys.labels), annotations: pick(pod.annotations, keys.annotations) }
}

function pick(all: Readonly<Record<string, string>> = {}, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(keys.flatMap((key) => (Object.hasOwn(all, key) ? [[key, all[key] ?? '']] : [])))
}

/** Labels and annotations as variables: their values by the names of the variables. */
export function podMetadataVariables({ labels, annotations }: PodMetadata): Record<string, string> {
  return Object.fromEntries([
    ...Object.entries(labels).map(([key, value]) => [`POD_LABELS['${key}']`, value]),
    ...Object.entries(annotations).map(([key, value]) => [`POD_ANNOTATIONS['${key}']`, value]),
  ]) as Record<string, string>
}

/** Whether a variable is a label or an annotation, so that its value is in the hands of whoever makes the pod. */
export function isPodMetadata(variable: string): boolean {
  return /^POD_(?:LABELS|ANNOTATIONS)\['/.test(variable)
}

/** What is wrong with a value of a label or an annotation in any name; undefined where nothing is. */
export function valueProblem(value: string): string | undefined {
  if (value === '') return 'it is empty'
  if (value.length > longestValue)
    return `it has ${value.length} characters, and at most ${longestValue} may take part in a name`
  return /[\p{Cc}\p{Cs}]/u.test(value) ? 'it has control characters' : undefined
}

/** What is wrong with it as a label of a DNS name (RFC 1123 §2.1). */
export function dnsLabelProblem(value: string): string | undefined {
  if (/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(value)) return undefined
  return 'it must be one DNS label: letters, digits and "-" inside, at most 63'
}

/** What is wrong with it in a path: segments of dots alone are taken away with their neighbours (RFC 3986 §5.2.4), also as `%2E`. */
export function uriPartProblem(value: string): string | undefined {
  return /^\.+$/.test(value) ? 'it must be more than dots' : undefined
}

/** Why a variable is not known that was meant to be a label or an annotation; undefined for any other. */
export function unknownMetadata(variable: string): string | undefined {
  const [, kind, key] = /^POD_(LABEL|ANNOTATION)S\['([^'\]]+)'\]$/.exec(variable) ?? []
  if (kind !== undefined) return `the pod has no ${kind.toLowerCase()} ${JSON.stringify(key)}`
  const [, almost] = /^POD_(LABEL|ANNOTATION)/i.exec(variable) ?? []
  if (almost === undefined) return undefined
  return `invalid variable ${JSON.stringify(variable)}: must be written as \${POD_${almost.toUpperCase()}S['key']}`
}
