import type { ObservedNode, ObservedPod, ServiceAddress } from './observed.ts'

/** What is known of a cluster's objects: by watches that go on, or as they were at one moment. */
export interface SeenObjects {
  pod(namespace: string, name: string): ObservedPod | undefined
  pods(): IteratorObject<ObservedPod>
  node(name: string): ObservedNode | undefined
  nodes(): IteratorObject<ObservedNode>
  /** The addresses of services that lead to a pod; none where they are not followed. */
  addresses(namespace: string, name: string): readonly ServiceAddress[]
}

/** Where services lead, by the UIDs of pods: a pod's successor of the same name has another. */
export interface ServedPods {
  /** The addresses of services that lead to a pod; none where they are not followed. */
  addressesOfPod(namespace: string, uid: string): readonly ServiceAddress[]
}
