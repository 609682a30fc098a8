import { type AttributeProblem } from '../volume/attributes.ts'
import { type SpecDefaults, type VolumeSpec, parseVolumeSpec } from '../volume/spec.ts'
import { type CsiVolume, type PodReport, readPodContent } from './csi-volume.ts'
import { volumeContext } from './kubelet-request.ts'
import { readManifest } from '../manifest/manifest.ts'
import { type Chance, type PlannedPod, expandPods, mostReplicas, replicaCount } from './pods.ts'
import { ManifestError, type Note, type Problem, inReadingOrder } from '../manifest/problem.ts'
import type { Sources } from '../manifest/source.ts'
import { type Fault } from '../manifest/typed-field.ts'
import { type Workload, describeWorkload, readWorkloads } from './workload.ts'

/** One volume of one pod, ready to be published. */
export interface PlannedVolume {
  readonly pod: PlannedPod
  readonly volume: CsiVolume
  /** As the driver will read it. */
  readonly spec: VolumeSpec
}

/** All that will be played. */
export interface Plan {
  readonly volumes: readonly PlannedVolume[]
  readonly notes: readonly Note[]
}

/** What a plan depends on, beside the manifests. */
export interface PlanOptions {
  /** The driver whose volumes are played. */
  readonly driver: string
  readonly defaults: SpecDefaults
  readonly chance: Chance
}

/**
 * Reads every manifest, makes pods of its workloads and checks their volumes as the driver will.
 *
 * @throws {ManifestError} with everything that is wrong, over all files at once
 */
export function planPods(given: Sources, options: PlanOptions): Plan {
  const problems: Problem[] = [...given.problems]
  const notes: Note[] = []
  const volumes: PlannedVolume[] = []
  const seen = new Set<string>()
  const held = new Map<string, string[]>()
  for (const source of given.sources) {
    const manifest = readManifest(source)
    problems.push(...manifest.problems)
    const kinds: string[] = []
    held.set(source.name, kinds)
    for (const document of manifest.documents) {
      const { workloads, skipped } = readWorkloads(document, (object) => faultOf(problems, object))
      kinds.push(...workloads.map(describeWorkload), ...skipped)
      for (const workload of workloads) {
        volumes.push(...planWorkload(workload, options, { problems, notes, seen }))
      }
    }
  }
  if (volumes.length === 0 && problems.length === 0) problems.push(...emptyProblems(held, notes, options.driver))
  if (problems.length > 0) throw new ManifestError(problems)
  return { volumes, notes: inReadingOrder(notes) }
}

interface Findings {
  readonly problems: Problem[]
  readonly notes: Note[]
  /** Objects and pods that were met, by kind, namespace and name. */
  readonly seen: Set<string>
}

function planWorkload(workload: Workload, options: PlanOptions, { problems, notes, seen }: Findings): PlannedVolume[] {
  const { location } = workload
  const object = describeWorkload(workload)
  const at = { location, object }
  const content = readPodContent(
    workload.template,
    options.driver,
    workload.claimNames,
    podReport(problems, notes, object),
  )
  if (content.volumes.length === 0) return []
  if (workload.name !== '' && isRepeated(seen, object)) {
    problems.push({ ...at, message: 'appears twice' })
    return []
  }
  const count = replicaCount(workload)
  if (count === 0) notes.push({ ...at, message: 'asks for no pods, so none is played' })
  if (count > mostReplicas)
    notes.push({ ...at, message: `asks for ${count} pods; the first ${mostReplicas} are played` })
  const pods = expandPods(workload, content, object, options.chance)
  for (const pod of workload.replicas.of === 'Pod' ? [] : pods) {
    const name = `Pod ${pod.namespace}/${pod.name}`
    if (isRepeated(seen, name)) problems.push({ ...at, message: `makes ${name}, which appears twice` })
  }
  return pods.flatMap((pod, index) =>
    content.volumes.flatMap((volume) => {
      const result = parseVolumeSpec(volumeContext(pod, volume), { ...options.defaults, podMetadata: pod.metadata })
      const place = (odd: AttributeProblem): Problem => ({
        ...at,
        location: volume.attributeLocations.get(odd.attribute) ?? volume.location,
        volume: volume.name,
        attribute: odd.attribute,
        message: odd.message,
      })
      // Replicas have the same attributes: what is wrong with one is wrong with all.
      if (!result.ok) {
        if (index === 0) problems.push(...result.problems.map(place))
        return []
      }
      if (index === 0) notes.push(...result.warnings.map(place))
      return [{ pod, volume, spec: result.spec }]
    }),
  )
}

function isRepeated(seen: Set<string>, name: string): boolean {
  const repeated = seen.has(name)
  seen.add(name)
  return repeated
}

function faultOf(problems: Problem[], object: string | undefined): Fault {
  return ({ location }, message) => problems.push({ location, ...(object !== undefined && { object }), message })
}

function podReport(problems: Problem[], notes: Note[], object: string): PodReport {
  return {
    fault: ({ location }, message, at) => problems.push({ location, object, ...at, message }),
    note: ({ location }, message, at) => notes.push({ location, object, ...at, message }),
  }
}

/** Why nothing is left to play, for each file: what it holds, and what was noted on the way. */
function emptyProblems(
  held: ReadonlyMap<string, readonly string[]>,
  notes: readonly Note[],
  driver: string,
): Problem[] {
  const problems = [...held].map(([source, objects]): Problem => {
    const list = objects.length === 0 ? 'it is empty' : `it holds ${listShortly(objects)}`
    return { location: { source }, message: `has no volume of driver ${driver} that a pod mounts; ${list}` }
  })
  return problems.length === 0 ? [] : [...problems, ...notes]
}

function listShortly(names: readonly string[]): string {
  const shown = [...new Set(names)]
  return shown.length <= 5 ? shown.join(', ') : `${shown.slice(0, 5).join(', ')} and ${shown.length - 5} more`
}
