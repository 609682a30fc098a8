import { didYouMean } from '../runtime/did-you-mean.ts'
import { type Field, child, descend, isObject, items, keys } from '../manifest/manifest.ts'
import type { PodMetadata } from '../volume/pod-metadata.ts'
import { labelProblem } from './names.ts'
import type { Location } from '../manifest/problem.ts'
import {
  type Fault,
  isListField,
  isObjectField,
  kindOf,
  readCount,
  readFlag,
  readText,
} from '../manifest/typed-field.ts'

/** One inline CSI volume of a pod, as its author wrote it. */
export interface CsiVolume {
  readonly name: string
  readonly readOnly: boolean
  /** Empty where the author names none. */
  readonly fsType: string
  readonly attributes: Readonly<Record<string, string>>
  /** Where containers mount it. */
  readonly mounts: readonly VolumeMount[]
  readonly location: Location
  /** Where each attribute stands, by its full key. */
  readonly attributeLocations: ReadonlyMap<string, Location>
}

/** One container's view of a volume. */
export interface VolumeMount {
  readonly container: string
  readonly path: string
  /** Whether the container mounts a part of the volume, and so never sees it change. */
  readonly partly: boolean
}

/** What of a pod's spec matters to a CSI volume. */
export interface PodContent {
  readonly serviceAccount: string
  /** `securityContext.fsGroup`. */
  readonly fsGroup: number | undefined
  readonly metadata: PodMetadata
  readonly volumes: readonly CsiVolume[]
}

/** Told of what is wrong, or odd, in one volume of the pod, or in the pod where the volume is undefined. */
export interface PodReport {
  readonly fault: (field: Field, message: string, at?: { volume?: string; attribute?: string }) => void
  readonly note: (field: Field, message: string, at?: { volume?: string }) => void
}

const sourceFields = ['driver', 'readOnly', 'fsType', 'volumeAttributes', 'nodePublishSecretRef']

const containerLists = ['initContainers', 'containers', 'ephemeralContainers']

/**
 * Reads a pod's spec, or that of a template.
 *
 * @param pod - the object that has `metadata` and `spec`
 * @param driver - the name of the driver whose volumes are wanted; others are passed over
 * @param claimNames - volumes that the pod gets beside those in its spec
 */
export function readPodContent(
  pod: Field,
  driver: string,
  claimNames: readonly string[],
  report: PodReport,
): PodContent {
  const spec = child(pod, 'spec')
  const fault: Fault = (field, message) => report.fault(field, message)
  const mounts = readMounts(spec, fault)
  const list = child(spec, 'volumes')
  const volumes = isListField(list, fault) ? items(list) : []
  const names = new Set(claimNames)
  const found: CsiVolume[] = []
  for (const volume of volumes) {
    const name = readText(child(volume, 'name'), fault) ?? ''
    const problem = labelProblem(name)
    if (problem !== undefined) fault(child(volume, 'name'), `${volume.path}.name ${problem}`)
    else if (names.has(name)) report.fault(child(volume, 'name'), 'another volume has this name', { volume: name })
    names.add(name)
    const csi = child(volume, 'csi')
    if (!isObjectField(csi, fault)) continue
    const ours = readCsiVolume(name, csi, driver, mounts.get(name) ?? [], report)
    if (ours !== undefined) found.push(ours)
  }
  if (found.length > 0) reportDanglingMounts(spec, names, fault)
  return {
    serviceAccount:
      readText(child(spec, 'serviceAccountName'), fault) || readText(child(spec, 'serviceAccount'), fault) || 'default',
    fsGroup: readCount(descend(spec, 'securityContext', 'fsGroup'), fault),
    metadata: {
      labels: readTexts(descend(pod, 'metadata', 'labels'), fault),
      annotations: readTexts(descend(pod, 'metadata', 'annotations'), fault),
    },
    volumes: found.filter((volume) => volume.mounts.length > 0),
  }
}

function readTexts(field: Field, fault: Fault): Readonly<Record<string, string>> {
  if (!isObjectField(field, fault)) return {}
  const texts = keys(field).map((key) => [key, readText(child(field, key), fault) ?? ''])
  return Object.fromEntries(texts) as Record<string, string>
}

function readCsiVolume(
  name: string,
  csi: Field,
  driver: string,
  mounts: readonly VolumeMount[],
  report: PodReport,
): CsiVolume | undefined {
  const fault: Fault = (field, message) => report.fault(field, message, { volume: name })
  const named = readText(child(csi, 'driver'), fault)
  if (named === undefined || named === '') {
    if (named === '' || child(csi, 'driver').value === undefined) fault(csi, 'csi.driver is required')
    return undefined
  }
  if (named !== driver) {
    if (didYouMean(named, [driver]) !== undefined) {
      report.note(child(csi, 'driver'), `is of driver ${named} and passed over: did you mean ${driver}?`, {
        volume: name,
      })
    }
    return undefined
  }
  for (const key of keys(csi)) {
    if (sourceFields.includes(key)) continue
    const guess = didYouMean(key, sourceFields)
    fault(child(csi, key), `unknown field csi.${key}${guess === undefined ? '' : `, did you mean ${guess}?`}`)
  }
  if (isObject(child(csi, 'nodePublishSecretRef').value)) {
    report.note(
      child(csi, 'nodePublishSecretRef'),
      'nodePublishSecretRef is left out: there is no cluster to read it from',
      {
        volume: name,
      },
    )
  }
  reportMounts(name, csi, mounts, report)
  const { attributes, locations } = readAttributes(name, child(csi, 'volumeAttributes'), report)
  return {
    name,
    readOnly: readFlag(child(csi, 'readOnly'), fault),
    fsType: readText(child(csi, 'fsType'), fault) ?? '',
    attributes,
    mounts,
    location: csi.location,
    attributeLocations: locations,
  }
}

function reportMounts(name: string, csi: Field, mounts: readonly VolumeMount[], report: PodReport): void {
  if (mounts.length === 0) {
    // desired_state_of_world_populator.go passes over volumes that no container mounts.
    report.note(csi, 'no container mounts it, so a kubelet does not publish it', { volume: name })
  }
  for (const { container } of mounts.filter(({ partly }) => partly)) {
    report.note(csi, `container ${container} mounts it with subPath and never sees a renewal`, { volume: name })
  }
}

/** The API server takes texts only; a number or a boolean without quotes is the usual slip. Values are never repeated. */
function readAttributes(
  volume: string,
  field: Field,
  report: PodReport,
): { readonly attributes: Readonly<Record<string, string>>; readonly locations: ReadonlyMap<string, Location> } {
  const attributes: Record<string, string> = {}
  const locations = new Map<string, Location>()
  if (!isObjectField(field, (at, message) => report.fault(at, message, { volume }))) return { attributes, locations }
  for (const attribute of keys(field)) {
    const entry = child(field, attribute)
    locations.set(attribute, entry.location)
    const { value } = entry
    if (typeof value === 'string') {
      attributes[attribute] = value
    } else if (value === null) {
      // null is what the API server reads as an empty text.
      attributes[attribute] = ''
    } else {
      const advice = typeof value === 'object' ? '' : ': put it in quotes'
      report.fault(entry, `must be a text, and is ${kindOf(value)}${advice}`, { volume, attribute })
    }
  }
  return { attributes, locations }
}

function containers(spec: Field, fault: Fault): Field[] {
  return containerLists.flatMap((name) => {
    const list = child(spec, name)
    return isListField(list, fault) ? items(list) : []
  })
}

function readMounts(spec: Field, fault: Fault): Map<string, VolumeMount[]> {
  const mounts = new Map<string, VolumeMount[]>()
  for (const container of containers(spec, fault)) {
    const name = readText(child(container, 'name'), fault) ?? ''
    const list = child(container, 'volumeMounts')
    if (!isListField(list, fault)) continue
    for (const mount of items(list)) {
      const volume = readText(child(mount, 'name'), fault) ?? ''
      const path = readText(child(mount, 'mountPath'), fault) ?? ''
      const subPath = readText(child(mount, 'subPath'), fault) || readText(child(mount, 'subPathExpr'), fault)
      mounts.set(volume, [...(mounts.get(volume) ?? []), { container: name, path, partly: subPath !== undefined }])
    }
  }
  return mounts
}

function reportDanglingMounts(spec: Field, names: ReadonlySet<string>, fault: Fault): void {
  const silent: Fault = () => {}
  for (const container of containers(spec, silent)) {
    for (const mount of items(child(container, 'volumeMounts'))) {
      const field = child(mount, 'name')
      if (typeof field.value !== 'string' || names.has(field.value)) continue
      const guess = didYouMean(field.value, [...names])
      fault(
        field,
        `${field.path}: no volume has the name ${field.value}${guess === undefined ? '' : `, did you mean ${guess}?`}`,
      )
    }
  }
}
