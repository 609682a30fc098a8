import { systemClock } from '../runtime/clock.ts'
import { silentLog } from '../runtime/log.ts'
import type {
  CallOptions,
  ClientOptions,
  DeleteOptions,
  ListOptions,
  ObjectList,
  Selection,
  WatchOptions,
  WriteOptions,
} from './client-options.ts'
import type { ConnectionConfig } from './connection-config.ts'
import { ApiError } from './errors.ts'
import type { KubernetesObject, ObjectName } from './object.ts'
import { apiVersionOf, collectionPath, objectPath, type Resource } from './resource.ts'
import type { ApiRequest, Method } from './request.ts'
import { Transport } from './transport.ts'
import { type WatchEvent, watchEvents } from './watch.ts'

/** The content types of a PATCH. */
export const PatchType = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const
export type PatchType = (typeof PatchType)[keyof typeof PatchType]

/**
 * A client of one API server. All calls and watches share one HTTP/2 connection, which is made when it is first needed and made
 * again when it is lost.
 *
 * Every call rejects with
 * - {@link ApiError} when the server refuses,
 * - {@link ConnectionError} when no answer came; for a write whose outcome is unknown it says so and the write is not repeated,
 * - {@link CredentialError} when the own credentials cannot be read,
 * - the signal's reason when the caller aborts.
 *
 * Repeated by the client itself, within the call's timeout: what the server provably did not act on (RFC 9113 §8.7, status 429),
 * reads whose connection was lost (once), and reads answered with 503 and Retry-After.
 *
 * @example
 * ```ts
 * const client = new KubernetesClient(await inClusterConfig(process.env), { log })
 * const pod = await client.get(pods, { namespace: 'sandbox', name: 'web-0' })
 * ```
 */
export class KubernetesClient {
  /** The namespace of the kubeconfig context or of the pod that this process runs in. */
  readonly namespace: string
  readonly #transport: Transport

  constructor(config: ConnectionConfig, options: ClientOptions = {}) {
    const qps = options.qps ?? 0
    this.namespace = config.namespace
    this.#transport = new Transport(config, {
      log: options.log ?? silentLog,
      clock: options.clock ?? systemClock,
      random: options.random ?? Math.random,
      userAgent: options.userAgent ?? 'podpass',
      timeout: options.timeout ?? 30_000,
      maxInFlight: options.maxInFlight ?? 64,
      qps,
      burst: options.burst ?? Math.max(1, qps),
      pingInterval: options.pingInterval ?? 30_000,
      pingTimeout: options.pingTimeout ?? 15_000,
      reloadInterval: options.reloadInterval ?? 60_000,
      startAfter: options.startAfter,
    })
  }

  /** How many calls are in flight, and how many wait because others are. Watches do not count. */
  get load(): { readonly inFlight: number; readonly waiting: number } {
    return this.#transport.load
  }

  async get<T extends KubernetesObject>(
    resource: Resource<T>,
    name: ObjectName,
    options: CallOptions & { readonly subresource?: string; readonly metadataOnly?: boolean } = {},
  ): Promise<T> {
    const path = objectPath(resource, name, options.subresource)
    const accept = options.metadataOnly ? `${partialMetadata},${json}` : json
    return (await this.#call('GET', path, { accept }, options)) as T
  }

  /** Every object of a selection, fetched page by page. A list that expires between two pages is started over, unpaged. */
  async list<T extends KubernetesObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ObjectList<T>> {
    const items: T[] = []
    try {
      let resourceVersion = ''
      for await (const page of this.pages(resource, options)) {
        for (const item of page.items) items.push(item)
        resourceVersion = page.resourceVersion
      }
      return { items, resourceVersion }
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 410)) throw error
      return await this.#page(resource, options, {})
    }
  }

  /** The pages of a selection, one after the other, for lists that are better not held in memory. All pages are of one moment. */
  async *pages<T extends KubernetesObject>(
    resource: Resource<T>,
    options: ListOptions = {},
  ): AsyncGenerator<ObjectList<T>, void, void> {
    const limit = String(options.limit ?? 500)
    let next: string | undefined
    do {
      const page: Page<T> = await this.#page(
        resource,
        options,
        next === undefined ? { limit } : { limit, continue: next },
      )
      yield page
      next = page.next
    } while (next !== undefined)
  }

  /**
   * Creates an object, or posts to a subresource (`serviceaccounts/token`), which then needs `parent`.
   *
   * @returns the object as the server stored or answered it
   */
  async create<T extends KubernetesObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions & { readonly parent?: ObjectName } = {},
  ): Promise<T> {
    const path =
      options.parent === undefined
        ? collectionPath(resource, object.metadata.namespace)
        : objectPath(resource, options.parent, options.subresource)
    return (await this.#call('POST', path, writeBody(resource, object, options), options)) as T
  }

  /** Replaces an object. Refused with 409 when `metadata.resourceVersion` is given and old. */
  async update<T extends KubernetesObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const path = objectPath(resource, nameOf(object), options.subresource)
    return (await this.#call('PUT', path, writeBody(resource, object, options), options)) as T
  }

  /** @param body - what fits `type`: an array of operations for {@link PatchType.json}, else a partial object */
  async patch<T extends KubernetesObject>(
    resource: Resource<T>,
    name: ObjectName,
    type: PatchType,
    body: unknown,
    options: WriteOptions & { readonly force?: boolean } = {},
  ): Promise<T> {
    const query = { ...writeQuery(options), ...(options.force === undefined ? {} : { force: String(options.force) }) }
    const path = objectPath(resource, name, options.subresource)
    return (await this.#call('PATCH', path, { contentType: type, body: JSON.stringify(body), query }, options)) as T
  }

  /**
   * Server-side apply: creates the object, or changes the fields that `object` names and takes away those it no longer names.
   *
   * @param options - `force` takes fields over from other managers, instead of a 409
   */
  apply<T extends KubernetesObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions & { readonly fieldManager: string; readonly force?: boolean },
  ): Promise<T> {
    return this.patch(resource, nameOf(object), PatchType.apply, typed(resource, object), options)
  }

  /** Resolves once the server accepted the delete; finalizers may keep the object for longer. */
  async delete(resource: Resource, name: ObjectName, options: DeleteOptions = {}): Promise<void> {
    const { preconditions, propagationPolicy, gracePeriodSeconds, dryRun } = options
    const body = JSON.stringify({
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      preconditions,
      propagationPolicy,
      gracePeriodSeconds,
      ...(dryRun ? { dryRun: ['All'] } : {}),
    })
    await this.#call('DELETE', objectPath(resource, name), { contentType: json, body }, options)
  }

  /**
   * The raw events of a watch, until the server ends it, which it does after minutes and whenever it likes. A {@link Reflector} goes on
   * from there; this does not.
   *
   * @throws {ApiError} where the server refuses the watch, and for the Status it may send inside it (410 `Expired`)
   * @throws {ConnectionError} where the connection is lost, also in the middle of an event
   */
  async *watch<T extends KubernetesObject>(
    resource: Resource<T>,
    options: WatchOptions = {},
  ): AsyncGenerator<WatchEvent<T>, void, void> {
    const request: ApiRequest = {
      method: 'GET',
      path: collectionPath(resource, options.namespace),
      query: {
        ...selectionQuery(options),
        watch: 'true',
        allowWatchBookmarks: String(options.bookmarks ?? true),
        ...(options.resourceVersion === undefined ? {} : { resourceVersion: options.resourceVersion }),
        ...(options.timeoutSeconds === undefined ? {} : { timeoutSeconds: String(options.timeoutSeconds) }),
        ...(options.sendInitialEvents ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' } : {}),
      },
      accept: options.metadataOnly ? `${partialMetadata},${json}` : json,
    }
    yield* watchEvents<T>(this.#transport, request, options.signal, options.onOpen)
  }

  /** Ends every watch, rejects every call, closes the connections. */
  async close(): Promise<void> {
    await this.#transport.close()
  }

  async #page<T extends KubernetesObject>(
    resource: Resource<T>,
    options: ListOptions,
    paging: Readonly<Record<string, string>>,
  ): Promise<Page<T>> {
    const query = { ...selectionQuery(options), ...paging }
    const accept = options.metadataOnly ? `${partialMetadataList},${json}` : json
    const path = collectionPath(resource, options.namespace)
    const list = (await this.#call('GET', path, { query, accept }, options)) as RawList<T>
    const { resourceVersion = '', continue: next } = list.metadata ?? {}
    return { items: list.items ?? [], resourceVersion, next: next === '' ? undefined : next }
  }

  #call(
    method: Method,
    path: string,
    rest: Omit<ApiRequest, 'method' | 'path'>,
    options: CallOptions,
  ): Promise<unknown> {
    return this.#transport.call({ method, path, ...rest }, options)
  }
}

const json = 'application/json'
const partialMetadata = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
const partialMetadataList = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'

interface Page<T> extends ObjectList<T> {
  /** The `continue` token of the next page. */
  readonly next: string | undefined
}

interface RawList<T> {
  readonly items?: readonly T[] | null
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
}

function nameOf(object: KubernetesObject): ObjectName {
  const { name, namespace } = object.metadata
  if (name === undefined)
    throw new TypeError(`expected an object with a name, got a ${object.kind ?? 'object'} without`)
  return { name, namespace }
}

/** Writes need `apiVersion` and `kind`, which callers need not repeat. */
function typed<T extends KubernetesObject>(resource: Resource<T>, object: T): T {
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object }
}

function writeBody<T extends KubernetesObject>(resource: Resource<T>, object: T, options: WriteOptions) {
  return { contentType: json, body: JSON.stringify(typed(resource, object)), query: writeQuery(options) }
}

function writeQuery(options: WriteOptions): Record<string, string> {
  return {
    ...(options.fieldManager === undefined ? {} : { fieldManager: options.fieldManager }),
    ...(options.dryRun ? { dryRun: 'All' } : {}),
  }
}

function selectionQuery(selection: Selection): Record<string, string> {
  return {
    ...(selection.labelSelector === undefined ? {} : { labelSelector: selection.labelSelector }),
    ...(selection.fieldSelector === undefined ? {} : { fieldSelector: selection.fieldSelector }),
  }
}
