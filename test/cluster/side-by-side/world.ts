import { type KubernetesClient, PatchType } from '../../../src/kubernetes/client.ts'
import { nodes, pods } from '../../../src/kubernetes/resource.ts'
import type { ControlPlaneAccess } from '../control-plane.ts'
import { apply, kubectl } from '../kubectl.ts'
import { createNamespace } from '../namespace.ts'
import { until } from '../until.ts'
import type { MadeObject } from './objects.ts'

/** Whether an object stays when it is deleted: something else holds it. */
const hold = 'podpass.test/hold'

/** The objects of one cluster, without a kubelet or a scheduler that would change them. */
export class World {
  readonly #controlPlane: ControlPlaneAccess
  readonly #client: KubernetesClient
  /** Of pods and nodes, also of those that are gone: a name each, such as `pod/shop/web`. */
  readonly #names = new Map<string, string>()

  constructor(controlPlane: ControlPlaneAccess, client: KubernetesClient) {
    this.#controlPlane = controlPlane
    this.#client = client
  }

  async createNamespaces(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => createNamespace(this.#controlPlane, name)))
  }

  /** Resolves when every service of these namespaces leads to a pod, in the old form and the new. */
  async servicesLead(namespaces: readonly string[]): Promise<void> {
    for (const namespace of namespaces) {
      await until(`the services of ${namespace} to lead to pods`, async () => {
        const named = async (kind: string, path: string): Promise<readonly string[]> =>
          (await kubectl(this.#controlPlane, ['get', kind, '-n', namespace, '-o', `jsonpath=${path}`])).split(' ')
        const [services, old, slices] = await Promise.all([
          named('services', '{.items[*].metadata.name}'),
          named('endpoints', '{.items[?(@.subsets)].metadata.name}'),
          named('endpointslices', '{.items[?(@.endpoints)].metadata.labels.kubernetes\\.io/service-name}'),
        ])
        return services.every((name) => name === '' || (old.includes(name) && slices.includes(name)))
      })
    }
  }

  /** Creates or changes objects. */
  async apply(...made: readonly MadeObject[]): Promise<void> {
    await apply(this.#controlPlane, ...made.map(({ object }) => object))
    const pods = made.flatMap(({ object, status }) => (status === undefined ? [] : [{ object, status }]))
    await Promise.all(
      pods.map(({ object: { metadata }, status }) => this.setStatus(metadata.namespace ?? '', metadata.name, status)),
    )
  }

  /** Says of a pod what its kubelet would. */
  async setStatus(namespace: string, name: string, status: object): Promise<void> {
    await this.#client.patch(pods, { namespace, name }, PatchType.strategic, { status }, { subresource: 'status' })
  }

  /** Changes a pod's labels or annotations; null takes one away. */
  async mark(namespace: string, name: string, metadata: object): Promise<void> {
    await this.#client.patch(pods, { namespace, name }, PatchType.merge, { metadata })
  }

  /** Gives a pod its node. */
  async schedule(namespace: string, name: string, node: string): Promise<void> {
    const target = { apiVersion: 'v1', kind: 'Node', name: node }
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target }
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/binding`
    await kubectl(this.#controlPlane, ['create', '--raw', path, '-f', '-'], JSON.stringify(binding))
  }

  /** Deletes an object, and resolves when it is gone. @param words - such as `pod web -n shop` */
  async remove(words: string): Promise<void> {
    const force = words.startsWith('pod ') ? ['--force', '--grace-period=0'] : []
    await kubectl(this.#controlPlane, ['delete', ...words.split(' '), ...force, '--timeout=60s'])
  }

  /** Begins to delete an object that something holds for ever. @param words - such as `node n2` */
  async beginToRemove(words: string): Promise<void> {
    const metadata = { finalizers: [hold] }
    await kubectl(this.#controlPlane, [
      'patch',
      ...words.split(' '),
      '--type=merge',
      '-p',
      JSON.stringify({ metadata }),
    ])
    await kubectl(this.#controlPlane, ['delete', ...words.split(' '), '--wait=false'])
  }

  /** By UID, the names of all pods and nodes that there are and were. */
  async names(): Promise<ReadonlyMap<string, string>> {
    for await (const { items } of this.#client.pages(pods, { metadataOnly: true })) {
      for (const { metadata } of items)
        this.#names.set(metadata.uid ?? '', `pod/${metadata.namespace}/${metadata.name}`)
    }
    for await (const { items } of this.#client.pages(nodes, { metadataOnly: true })) {
      for (const { metadata } of items) this.#names.set(metadata.uid ?? '', `node/${metadata.name}`)
    }
    return this.#names
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}
