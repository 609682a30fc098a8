import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { EndpointSlice } from '../../kubernetes/object.ts'
import { Reflector } from '../../kubernetes/reflector.ts'
import { endpointSlices } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { ServiceAddress } from '../observed.ts'
import { addressesOfSlice, type PodAddress, ServiceAddresses } from '../service-addresses.ts'
import { type WatchedKind, watchedKind } from './watched-kind.ts'

export interface ServiceWatchOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  /** How pods are told apart. A pod's successor of the same name has another UID. */
  readonly by: 'name' | 'uid'
  /** @param pod - a pod to which other addresses lead than before: its name or UID */
  readonly onPod: (namespace: string, pod: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** The addresses of services that lead to pods, as the cluster shows them. */
export class ServiceWatch {
  readonly watch: WatchedKind
  readonly #slices: Reflector<EndpointSlice, string>
  readonly #addresses = new ServiceAddresses()

  constructor({ client, by, onPod, clock, log }: ServiceWatchOptions) {
    const show = (slice: string, addresses: readonly PodAddress[]): void => {
      for (const key of this.#addresses.show(slice, by === 'uid' ? addresses.flatMap(byUid) : addresses)) {
        const [namespace = '', pod = ''] = key.split('/')
        onPod(namespace, pod)
      }
    }
    this.#slices = new Reflector<EndpointSlice, string>({
      client,
      resource: endpointSlices,
      transform: ({ metadata }) => `${metadata.namespace}/${metadata.name}`,
      handler: {
        added: (slice, name) => show(name, addressesOfSlice(slice)),
        modified: (slice, name) => show(name, addressesOfSlice(slice)),
        deleted: (name) => show(name, []),
      },
      clock,
      log,
    })
    this.watch = watchedKind('endpoint slices', this.#slices)
  }

  /** Resolves when everything there is was seen once. */
  get synced(): Promise<void> {
    return this.#slices.synced
  }

  /** @param pod - its name or UID */
  addresses(namespace: string, pod: string): readonly ServiceAddress[] {
    return this.#addresses.of(`${namespace}/${pod}`)
  }

  async close(): Promise<void> {
    await this.#slices.close()
  }
}

/** An address that does not tell which pod it is, by its UID, leads to none. */
function byUid({ pod, address }: PodAddress): readonly PodAddress[] {
  const [namespace = ''] = pod.split('/')
  return address.podUid === '' ? [] : [{ pod: `${namespace}/${address.podUid}`, address }]
}
