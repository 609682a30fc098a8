import { type CsiVolume, type PodContent } from './csi-volume.ts'
import { generateName, podTemplateHash } from './names.ts'
import type { Location } from '../manifest/problem.ts'
import type { PodMetadata } from '../volume/pod-metadata.ts'
import type { Workload } from './workload.ts'

/** A pod that is to be played: everything that a kubelet would tell the driver of it. */
export interface PlannedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly serviceAccount: string
  readonly fsGroup: number | undefined
  /** Labels and annotations. */
  readonly metadata: PodMetadata
  readonly volumes: readonly CsiVolume[]
  /** The object that it comes from, such as `Deployment sandbox/my-csi-app`. */
  readonly owner: string
  readonly location: Location
}

/** How pods get what a cluster would choose for them. */
export interface Chance {
  /** In [0, 1). */
  readonly random: () => number
  /** A fresh UID. */
  readonly uid: () => string
  /** Epoch milliseconds; a CronJob names its jobs by it. */
  readonly now: number
}

/** More pods of one workload than this show nothing new. */
export const mostReplicas = 20

/** How many pods a workload asks for. */
export function replicaCount({ replicas }: Workload): number {
  return 'count' in replicas ? replicas.count : 1
}

/** The pods of a workload, at most `mostReplicas`, with the names that its controller would give them. */
export function expandPods(workload: Workload, content: PodContent, owner: string, chance: Chance): PlannedPod[] {
  return podNames(workload, Math.min(replicaCount(workload), mostReplicas), chance).map((name, index) => ({
    namespace: workload.namespace,
    name,
    // Never the one in the manifest: a fresh pod has a fresh UID.
    uid: chance.uid(),
    serviceAccount: content.serviceAccount,
    fsGroup: content.fsGroup,
    metadata: { ...content.metadata, labels: { ...content.metadata.labels, ...labelsOf(workload, name, index) } },
    volumes: content.volumes,
    owner,
    location: workload.location,
  }))
}

function podNames({ name, generateName: base, replicas, template }: Workload, count: number, chance: Chance): string[] {
  const generate = (start: string): string => generateName(start, chance.random)
  const repeat = (nameOf: (index: number) => string): string[] =>
    Array.from({ length: count }, (_, index) => nameOf(index))
  const own = name === '' ? generate(base) : name
  switch (replicas.of) {
    case 'Pod':
      return [own]
    case 'DaemonSet':
    case 'ReplicaSet':
      return repeat(() => generate(`${own}-`))
    case 'Deployment': {
      const replicaSet = `${own}-${podTemplateHash(template.value)}`
      return repeat(() => generate(`${replicaSet}-`))
    }
    case 'StatefulSet':
      return repeat((index) => `${own}-${replicas.first + index}`)
    case 'Job':
      return repeat((index) => generate(jobBase(own, replicas.indexed ? index : undefined)))
    case 'CronJob': {
      const job = `${own}-${Math.floor(chance.now / 60_000)}`
      return repeat((index) => generate(jobBase(job, replicas.indexed ? index : undefined)))
    }
  }
}

/** The labels that a controller adds, as far as they can be known before there is a cluster. */
function labelsOf({ replicas, template }: Workload, name: string, index: number): Readonly<Record<string, string>> {
  switch (replicas.of) {
    case 'Deployment':
      return { 'pod-template-hash': podTemplateHash(template.value) }
    case 'StatefulSet':
      return {
        'statefulset.kubernetes.io/pod-name': name,
        'apps.kubernetes.io/pod-index': String(replicas.first + index),
      }
    case 'Job':
    case 'CronJob':
      return replicas.indexed ? { 'batch.kubernetes.io/job-completion-index': String(index) } : {}
    case 'Pod':
    case 'DaemonSet':
    case 'ReplicaSet':
      return {}
  }
}

/** The index of an indexed job stays whole; its name is cut (pkg/controller/job podGenerateNameWithIndex). */
function jobBase(job: string, index: number | undefined): string {
  if (index === undefined) return `${job}-`
  const end = `-${index}-`
  return job.slice(0, 58 - end.length) + end
}
