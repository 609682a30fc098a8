/** Facts that templates may name, each with what it is. */
export const factNames = {
  namespace: "the subject's namespace",
  'pod.name': "the subject pod's name",
  'pod.uid': "the subject pod's UID",
  'serviceAccount.name': "the subject's service account",
  'serviceAccount.uid': "the service account's UID",
  'node.name': 'the node that the subject is on, or that it is',
  'service.name': 'each Service whose selector takes the subject pod; one name for each',
  'cluster.domain': "the cluster's DNS domain",
} as const

export type FactName = keyof typeof factNames

/** Facts of which there are many, told apart by a key: `pod.labels[app]`. */
export const keyedFactNames = {
  'pod.labels': "a label of the subject pod: its author's word",
  'pod.annotations': "an annotation of the subject pod: its author's word",
  'serviceAccount.labels': 'a label of its service account',
  'serviceAccount.annotations': 'an annotation of its service account',
  'namespace.labels': 'a label of its namespace',
  'namespace.annotations': 'an annotation of its namespace',
} as const

export type KeyedFactName = keyof typeof keyedFactNames

/**
 * How far a fact can be trusted, from the best to the worst: what the API server attested of the requester; what is read of live
 * objects; what an object's author wrote as he liked.
 */
export const origins = ['attested', 'live', 'written'] as const

export type Origin = (typeof origins)[number]

/** What is known of one fact. */
export interface Fact {
  /** One value; several for `service.name`; none where there is nothing to say. */
  readonly values: readonly string[]
  readonly origin: Origin
}

/** @returns undefined where it is not known, such as a pod's name of a requester that is no pod */
export type Facts = (name: FactName | KeyedFactName, key?: string) => Fact | undefined

/** The worse of two. */
export function worse(left: Origin, right: Origin): Origin {
  return origins.indexOf(left) > origins.indexOf(right) ? left : right
}
