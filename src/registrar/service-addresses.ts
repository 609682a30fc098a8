import type { EndpointAddress, Endpoints, EndpointSlice, ObjectMeta, ObjectReference } from '../kubernetes/object.ts'
import type { ServiceAddress } from './observed.ts'

/** An address of a service, and the pod of the same namespace that it leads to. */
export interface PodAddress {
  /** `<namespace>/<name>`. */
  readonly pod: string
  readonly address: ServiceAddress
}

/** The label of an EndpointSlice with the name of its service. */
const serviceLabel = 'kubernetes.io/service-name'

/** The addresses of an EndpointSlice that lead to pods. One of another namespace's pod is not believed: whoever writes it names that pod. */
export function addressesOfSlice({ metadata, endpoints, addressType }: EndpointSlice): readonly PodAddress[] {
  const service = metadata.labels?.[serviceLabel] ?? ''
  if (service === '' || addressType === 'FQDN') return []
  return (endpoints ?? []).flatMap(({ addresses = [], hostname = '', conditions, targetRef }) =>
    // An unknown condition is to be taken for ready (EndpointConditions).
    addresses.flatMap((ip) =>
      podAddress(metadata, targetRef, { service, ip, hostname, ready: conditions?.ready ?? true }),
    ),
  )
}

/** The same of Endpoints, the older form. */
export function addressesOfEndpoints({ metadata, subsets = [] }: Endpoints): readonly PodAddress[] {
  const service = metadata.name ?? ''
  if (service === '') return []
  const read = (ready: boolean) => (address: EndpointAddress) =>
    podAddress(metadata, address.targetRef, { service, ip: address.ip, hostname: address.hostname ?? '', ready })
  return subsets.flatMap(({ addresses = [], notReadyAddresses = [] }) => [
    ...addresses.flatMap(read(true)),
    ...notReadyAddresses.flatMap(read(false)),
  ])
}

function podAddress(
  { namespace = '' }: ObjectMeta,
  target: Partial<ObjectReference> | undefined,
  address: Omit<ServiceAddress, 'podUid'>,
): readonly PodAddress[] {
  const { kind, name = '', uid = '', namespace: targetNamespace = namespace } = target ?? {}
  if (kind !== 'Pod' || name === '' || namespace === '' || targetNamespace !== namespace) return []
  return [{ pod: `${namespace}/${name}`, address: { ...address, podUid: uid } }]
}

/** The addresses that lead to each pod, as the slices show them that were last seen. */
export class ServiceAddresses {
  readonly #bySlice = new Map<string, readonly PodAddress[]>()
  readonly #byPod = new Map<string, Map<string, readonly ServiceAddress[]>>()

  /**
   * @param slice - `<namespace>/<name>` of the EndpointSlice
   * @param addresses - none for one that is gone
   * @returns the pods whose addresses are not what they were, `<namespace>/<name>` each
   */
  show(slice: string, addresses: readonly PodAddress[]): ReadonlySet<string> {
    const before = byPod(this.#bySlice.get(slice) ?? [])
    const after = byPod(addresses)
    if (addresses.length === 0) this.#bySlice.delete(slice)
    else this.#bySlice.set(slice, addresses)
    const changed = new Set<string>()
    for (const pod of new Set([...before.keys(), ...after.keys()])) {
      const now = after.get(pod)
      if (isSame(before.get(pod), now)) continue
      changed.add(pod)
      this.#setOfPod(pod, slice, now)
    }
    return changed
  }

  /** @param pod - `<namespace>/<name>` */
  of(pod: string): readonly ServiceAddress[] {
    return [...(this.#byPod.get(pod)?.values() ?? [])].flat()
  }

  #setOfPod(pod: string, slice: string, addresses: readonly ServiceAddress[] | undefined): void {
    const slices = this.#byPod.get(pod) ?? new Map<string, readonly ServiceAddress[]>()
    if (addresses === undefined) slices.delete(slice)
    else slices.set(slice, addresses)
    if (slices.size === 0) this.#byPod.delete(pod)
    else this.#byPod.set(pod, slices)
  }
}

function byPod(addresses: readonly PodAddress[]): ReadonlyMap<string, readonly ServiceAddress[]> {
  const grouped = Map.groupBy(addresses, ({ pod }) => pod)
  return new Map([...grouped].map(([pod, own]) => [pod, own.map(({ address }) => address)]))
}

function isSame(one: readonly ServiceAddress[] | undefined, other: readonly ServiceAddress[] | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
