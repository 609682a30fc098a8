import { type Field, child, descend, isObject, items } from '../manifest/manifest.ts'
import { labelProblem, subdomainProblem } from './names.ts'
import type { Location } from '../manifest/problem.ts'
import { type Fault, isListField, isObjectField, readCount, readText } from '../manifest/typed-field.ts'

/** Which pods a workload makes, beside its name. */
export type Replicas =
  | { readonly of: 'Pod' | 'DaemonSet' }
  | { readonly of: 'ReplicaSet' | 'Deployment'; readonly count: number }
  | { readonly of: 'StatefulSet'; readonly count: number; readonly first: number }
  | { readonly of: 'Job' | 'CronJob'; readonly count: number; readonly indexed: boolean }

/** An object of a manifest that is a pod or makes pods. */
export interface Workload {
  readonly namespace: string
  /** Exactly one of `name` and `generateName` is not empty. */
  readonly name: string
  readonly generateName: string
  readonly replicas: Replicas
  /** The object that holds the pod's spec: the pod itself, or its template. */
  readonly template: Field
  /** Further volume names that the pod's containers may mount (a StatefulSet's claims). */
  readonly claimNames: readonly string[]
  readonly location: Location
}

type WorkloadKind = Replicas['of']

/** Where each kind keeps its pod template. */
const templatePaths: Readonly<Record<WorkloadKind, readonly string[]>> = {
  Pod: [],
  Deployment: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
}

/** The API groups under which the kinds are, or were, served. */
const groups: Readonly<Record<WorkloadKind, readonly string[]>> = {
  Pod: [''],
  Deployment: ['apps', 'extensions'],
  ReplicaSet: ['apps', 'extensions'],
  StatefulSet: ['apps'],
  DaemonSet: ['apps', 'extensions'],
  Job: ['batch'],
  CronJob: ['batch'],
}

/** What one document holds. */
export interface Workloads {
  readonly workloads: readonly Workload[]
  /** The kinds of the objects that make no pods. */
  readonly skipped: readonly string[]
}

/** `Deployment sandbox/my-csi-app`, as people name an object. */
export function describeWorkload({ replicas, namespace, name, generateName }: Workload): string {
  return `${replicas.of} ${namespace}/${name === '' ? `${generateName}…` : name}`
}

/**
 * Reads the workloads of one document: an object, or a List of them.
 *
 * @param report - told of what is wrong, with the object's name where it is known
 */
export function readWorkloads(document: Field, report: (object: string | undefined) => Fault): Workloads {
  const fault = report(undefined)
  if (!isObject(document.value)) {
    fault(document, 'is no Kubernetes object')
    return { workloads: [], skipped: [] }
  }
  const kind = readText(child(document, 'kind'), fault)
  if (kind === undefined || kind === '') {
    if (!('kind' in document.value) || kind === '') fault(document, 'is no Kubernetes object: it has no kind')
    return { workloads: [], skipped: [] }
  }
  const list = child(document, 'items')
  if (kind.endsWith('List')) return readList(kind, list, fault, report)
  const known = asWorkloadKind(kind, readText(child(document, 'apiVersion'), fault))
  if (known === undefined) return { workloads: [], skipped: [kind] }
  const workload = readWorkload(document, known, report)
  return { workloads: workload === undefined ? [] : [workload], skipped: [] }
}

/** The items of a typed list, such as a PodList, need not repeat their kind. */
function readList(kind: string, list: Field, fault: Fault, report: (object: string | undefined) => Fault): Workloads {
  if (!isListField(list, fault)) return { workloads: [], skipped: [] }
  const itemKind = kind.slice(0, -'List'.length)
  const results = items(list).map((item): Workloads => {
    const isTyped = itemKind in templatePaths && isObject(item.value) && item.value['kind'] === undefined
    if (!isTyped) return readWorkloads(item, report)
    const workload = readWorkload(item, itemKind as WorkloadKind, report)
    return { workloads: workload === undefined ? [] : [workload], skipped: [] }
  })
  return {
    workloads: results.flatMap(({ workloads }) => workloads),
    skipped: results.flatMap(({ skipped }) => skipped),
  }
}

/** An object of another group may bear the same kind; an absent version is taken for the usual one. */
function asWorkloadKind(kind: string, apiVersion: string | undefined): WorkloadKind | undefined {
  if (!Object.hasOwn(templatePaths, kind)) return undefined
  const known = kind as WorkloadKind
  if (apiVersion === undefined) return known
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : ''
  return groups[known].includes(group) ? known : undefined
}

function readWorkload(
  object: Field,
  kind: WorkloadKind,
  report: (object: string | undefined) => Fault,
): Workload | undefined {
  const metadata = child(object, 'metadata')
  const early = report(kind)
  isObjectField(metadata, early)
  const name = readText(child(metadata, 'name'), early) ?? ''
  const generateName = name === '' ? (readText(child(metadata, 'generateName'), early) ?? '') : ''
  const namespace = readText(child(metadata, 'namespace'), early) || 'default'
  const fault = report(`${kind} ${namespace}/${name || `${generateName}…`}`)
  if (name === '' && generateName === '') {
    early(metadata, 'metadata.name is required, or metadata.generateName')
    return undefined
  }
  const nameProblem = subdomainProblem(name || `${generateName}x`)
  if (nameProblem !== undefined)
    fault(child(metadata, name === '' ? 'generateName' : 'name'), `the name ${nameProblem}`)
  const namespaceProblem = labelProblem(namespace)
  if (namespaceProblem !== undefined) fault(child(metadata, 'namespace'), `the namespace ${namespaceProblem}`)
  const template = descend(object, ...templatePaths[kind])
  if (!isObject(child(template, 'spec').value)) {
    fault(template, `${[...templatePaths[kind], 'spec'].join('.')} must be an object`)
    return undefined
  }
  return {
    namespace,
    name,
    generateName,
    replicas: readReplicas(object, kind, fault),
    template,
    claimNames: items(descend(object, 'spec', 'volumeClaimTemplates')).flatMap(
      (claim) => readText(descend(claim, 'metadata', 'name'), fault) ?? [],
    ),
    location: object.location,
  }
}

function readReplicas(object: Field, kind: WorkloadKind, fault: Fault): Replicas {
  const spec = child(object, 'spec')
  const count = (field: Field, fallback: number): number => readCount(field, fault) ?? fallback
  switch (kind) {
    case 'Pod':
    case 'DaemonSet':
      return { of: kind }
    case 'Deployment':
    case 'ReplicaSet':
      return { of: kind, count: count(child(spec, 'replicas'), 1) }
    case 'StatefulSet':
      return {
        of: kind,
        count: count(child(spec, 'replicas'), 1),
        first: count(descend(spec, 'ordinals', 'start'), 0),
      }
    case 'Job':
    case 'CronJob': {
      const job = kind === 'Job' ? spec : descend(spec, 'jobTemplate', 'spec')
      // Job API: a pod for each slot of parallelism, but never more than are left to complete.
      const parallelism = count(child(job, 'parallelism'), 1)
      const completions = count(child(job, 'completions'), parallelism)
      return {
        of: kind,
        count: Math.min(parallelism, completions),
        indexed: readText(child(job, 'completionMode'), fault) === 'Indexed',
      }
    }
  }
}
