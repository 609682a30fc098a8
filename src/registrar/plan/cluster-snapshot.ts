import type { Endpoints, EndpointSlice } from '../../kubernetes/object.ts'
import type { SpiffeIdResource } from '../crd/read-spiffe-id.ts'
import type { ObservedNode, ObservedPod, ServiceAddress } from '../observed.ts'
import type { SeenObjects, ServedPods } from '../seen-objects.ts'
import { addressesOfEndpoints, addressesOfSlice, ServiceAddresses } from '../service-addresses.ts'

/** Objects of a cluster as they were at one moment: of each what identities depend on. */
export interface ClusterListing {
  readonly pods: readonly ObservedPod[]
  readonly nodes: readonly ObservedNode[]
  readonly endpointSlices: readonly EndpointSlice[]
  /** The older form: looked at for services without slices. */
  readonly endpoints: readonly Endpoints[]
  readonly spiffeIds: readonly SpiffeIdResource[]
}

/** A listing by names. Of two objects of one name the later counts. */
export class ClusterSnapshot implements SeenObjects, ServedPods {
  readonly #pods: ReadonlyMap<string, ObservedPod>
  /** By `<namespace>/<UID>`. */
  readonly #podsByUid: ReadonlyMap<string, ObservedPod>
  readonly #nodes: ReadonlyMap<string, ObservedNode>
  readonly #addresses = new ServiceAddresses()

  /** @param withAddresses - whether the addresses of services matter */
  constructor(listing: ClusterListing, withAddresses: boolean) {
    this.#pods = new Map(listing.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]))
    this.#podsByUid = new Map(listing.pods.map((pod) => [`${pod.namespace}/${pod.uid}`, pod]))
    this.#nodes = new Map(listing.nodes.map((node) => [node.name, node]))
    if (withAddresses) this.#readAddresses(listing)
  }

  pod(namespace: string, name: string): ObservedPod | undefined {
    return this.#pods.get(`${namespace}/${name}`)
  }

  pods(): IteratorObject<ObservedPod> {
    return this.#pods.values()
  }

  node(name: string): ObservedNode | undefined {
    return this.#nodes.get(name)
  }

  nodes(): IteratorObject<ObservedNode> {
    return this.#nodes.values()
  }

  addresses(namespace: string, name: string): readonly ServiceAddress[] {
    return this.#addresses.of(`${namespace}/${name}`)
  }

  addressesOfPod(namespace: string, uid: string): readonly ServiceAddress[] {
    const pod = this.#podsByUid.get(`${namespace}/${uid}`)
    return pod === undefined ? [] : this.addresses(namespace, pod.name).filter(({ podUid }) => podUid === uid)
  }

  #readAddresses({ endpointSlices, endpoints }: ClusterListing): void {
    const sliced = new Set<string>()
    for (const slice of endpointSlices) {
      const { namespace = '', name = '', labels } = slice.metadata
      sliced.add(`${namespace}/${labels?.['kubernetes.io/service-name'] ?? ''}`)
      this.#addresses.show(`${namespace}/${name}`, addressesOfSlice(slice))
    }
    for (const older of endpoints) {
      const { namespace = '', name = '' } = older.metadata
      if (!sliced.has(`${namespace}/${name}`)) this.#addresses.show(`${namespace}/${name}`, addressesOfEndpoints(older))
    }
  }
}
