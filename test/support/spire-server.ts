import {
  type handleUnaryCall,
  Server,
  type ServerErrorResponse,
  ServerCredentials,
  type ServerUnaryCall,
  status as statuses,
  type StatusObject,
} from '@grpc/grpc-js'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import {
  Health,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus,
} from '../../src/gen/grpc/health/v1/health_pb.ts'
import {
  Bundle as BundleApi,
  ListFederatedBundlesResponseSchema,
} from '../../src/gen/spire/api/server/bundle/v1/bundle_pb.ts'
import {
  BatchCreateEntryResponseSchema,
  BatchDeleteEntryResponseSchema,
  BatchUpdateEntryResponseSchema,
  Entry as EntryApi,
  type ListEntriesRequest,
  ListEntriesResponseSchema,
} from '../../src/gen/spire/api/server/entry/v1/entry_pb.ts'
import {
  BundleSchema,
  type Entry as EntryMessage,
  type EntryMask,
  type EntrySchema,
  type Status,
} from '../../src/gen/spire/api/types/types_pb.ts'
import { statusName } from '../../src/runtime/grpc-status.ts'
import { implementation, serviceDefinition, type ServiceMethods } from '../../src/runtime/grpc-service.ts'
import type { EntryFilter } from '../../src/spire/entry.ts'
import { readEntry, readId, writeEntry } from '../../src/spire/entry-message.ts'
import { SpireError } from '../../src/spire/errors.ts'
import type { Certificate } from '../../src/x509/certificate.ts'
import { encodePrivateKey } from '../../src/x509/key.ts'
import { filterProblem } from './entry-problem.ts'
import type { EntryContent, EntryStore, StoredEntry } from './entry-store.ts'
import type { EntryCall, EntryFault } from './memory-entries.ts'
import type { KeyObject } from 'node:crypto'

/** How the server shows itself over TCP, and whom it trusts. */
export interface ServerTls {
  readonly key: KeyObject
  /** The leaf first. */
  readonly chain: readonly Certificate[]
  readonly clientAuthorities: readonly Certificate[]
  /** SPIFFE IDs of the callers that may do everything; tests may add and remove. */
  readonly admins: ReadonlySet<string>
}

export interface StandInOptions {
  readonly store: EntryStore
  /** Awaited before each call of the Entry API: a test decides here when it arrives and what becomes of it. */
  readonly before?: (call: EntryCall) => Promise<EntryFault | undefined>
  /** Awaited before an answer goes back. */
  readonly after?: (call: EntryCall) => Promise<void>
  /** Of the bundle of its own trust domain. @default {none} */
  readonly authorities?: readonly Certificate[]
}

/**
 * A stand-in for a SPIRE server: the wire around {@link EntryStore}, with masks, pages, callers and faults. It is for faults that a real
 * server does not have on demand; that it answers as a real one does is tested.
 */
export class StandInServer {
  /** Every call of the Entry API that has arrived, in order. */
  readonly calls: EntryCall[] = []
  readonly #options: StandInOptions
  #servers: Server[] = []

  constructor(options: StandInOptions) {
    this.#options = options
  }

  /** Serves whoever reaches the socket as an administrator. */
  async listen(path: string): Promise<void> {
    await this.#bind(`unix:${path}`, ServerCredentials.createInsecure(), undefined)
  }

  /**
   * Serves administrators on a port of loopback.
   *
   * @param port - 0 for a free one
   * @returns `host:port`
   */
  async listenTls(tls: ServerTls, port = 0): Promise<string> {
    const credentials = ServerCredentials.createSsl(
      Buffer.from(tls.clientAuthorities.map(({ pem }) => pem).join('')),
      [
        {
          private_key: Buffer.from(encodePrivateKey(tls.key, 'PKCS8')),
          cert_chain: Buffer.from(tls.chain.map(({ pem }) => pem).join('')),
        },
      ],
      true,
    )
    return `127.0.0.1:${await this.#bind(`127.0.0.1:${port}`, credentials, tls)}`
  }

  /** Tells clients to go elsewhere (GOAWAY), lets calls end and listens no more. */
  async drain(): Promise<void> {
    const servers = this.#servers
    this.#servers = []
    await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.tryShutdown(() => resolve()))))
  }

  /** Breaks every connection where it stands, and listens no more. What the store holds stays. */
  kill(): void {
    for (const server of this.#servers) server.forceShutdown()
    this.#servers = []
  }

  async #bind(address: string, credentials: ServerCredentials, tls: ServerTls | undefined): Promise<number> {
    const server = new Server()
    server.addService(serviceDefinition(EntryApi), implementation<typeof EntryApi>(this.#entryApi(tls)))
    server.addService(serviceDefinition(BundleApi), implementation<typeof BundleApi>(this.#bundleApi(tls)))
    server.addService(serviceDefinition(Health), implementation<typeof Health>(healthApi(tls)))
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, credentials, (error, port) => (error === null ? resolve(port) : reject(error)))
    })
    this.#servers.push(server)
    return port
  }

  #entryApi(tls: ServerTls | undefined): ServiceMethods<typeof EntryApi> {
    const { store } = this.#options
    return {
      listEntries: guarded(tls, async ({ filter, outputMask, pageSize, pageToken }) => {
        const wanted = readFilter(filter, store.trustDomain)
        const fault = await this.#arrive({ method: 'list', items: 0 })
        if (fault?.error !== undefined) throw fault.error
        if (!/^\d*$/.test(pageToken))
          throw refusal(statuses.INTERNAL, `failed to list entries: could not parse token '${pageToken}'`)
        const size = pageSize === 0 ? Number.POSITIVE_INFINITY : pageSize
        const { entries, lastRow } = store.page(wanted, Number(pageToken), size)
        await this.#options.after?.({ method: 'list', items: 0 })
        const isEnd = pageSize === 0 || lastRow === Number(pageToken)
        return create(ListEntriesResponseSchema, {
          entries: entries.map((entry) => masked(entry, outputMask)),
          nextPageToken: isEnd ? '' : String(lastRow),
        })
      }),

      batchCreateEntry: guarded(tls, async ({ entries, outputMask }) => {
        const results = await this.#batch('create', entries, (entry) =>
          withEntry(store.create(contentOf(entry)), outputMask),
        )
        return create(BatchCreateEntryResponseSchema, { results })
      }),

      batchUpdateEntry: guarded(tls, async ({ entries, inputMask, outputMask }) => {
        const results = await this.#batch('update', entries, (entry) => {
          const result = store.update(entry.id, namedFields(contentOf(entry), inputMask))
          return withEntry(result, outputMask)
        })
        return create(BatchUpdateEntryResponseSchema, { results })
      }),

      batchDeleteEntry: guarded(tls, async ({ ids }) => {
        const results = await this.#batch('delete', ids, (id) => {
          const { code, message } = store.delete(id)
          return { status: { code, message }, id }
        })
        return create(BatchDeleteEntryResponseSchema, { results })
      }),
    }
  }

  #bundleApi(tls: ServerTls | undefined): ServiceMethods<typeof BundleApi> {
    const { store, authorities = [] } = this.#options
    return {
      // Anybody may ask.
      getBundle: guarded(undefined, async ({ outputMask }) =>
        create(BundleSchema, {
          trustDomain: store.trustDomain,
          x509Authorities: outputMask?.x509Authorities === false ? [] : authorities.map(({ der }) => ({ asn1: der })),
        }),
      ),
      listFederatedBundles: guarded(tls, async ({ pageSize, pageToken }) => {
        const names = [...store.federated].toSorted()
        const begin = Number(pageToken)
        const page = names.slice(begin, pageSize === 0 ? undefined : begin + pageSize)
        return create(ListFederatedBundlesResponseSchema, {
          bundles: page.map((trustDomain) => ({ trustDomain })),
          nextPageToken: page.length === 0 || pageSize === 0 ? '' : String(begin + page.length),
        })
      }),
    }
  }

  /** Each item is a transaction of its own: a call that breaks off leaves those before it done. */
  async #batch<Item, Result>(
    method: EntryCall['method'],
    items: readonly Item[],
    carryOut: (item: Item) => Result,
  ): Promise<(Result | { readonly status: Pick<Status, 'code' | 'message'> })[]> {
    const call = { method, items: items.length }
    const fault = await this.#arrive(call)
    const results = items
      .slice(0, fault?.carriedOut ?? items.length)
      .map((item, place) => (fault?.poison?.has(place) === true ? poisoned(item) : carryOut(item)))
    await this.#options.after?.(call)
    if (fault?.error !== undefined) throw fault.error
    return results
  }

  async #arrive(call: EntryCall): Promise<EntryFault | undefined> {
    this.calls.push(call)
    return await this.#options.before?.(call)
  }
}

function healthApi(tls: ServerTls | undefined): ServiceMethods<typeof Health> {
  return {
    check: guarded(tls && { ...tls, admins: new Set<string>() }, async () =>
      create(HealthCheckResponseSchema, { status: HealthCheckResponse_ServingStatus.SERVING }),
    ),
  }
}

/** Lets administrators call only, and turns what is thrown into a status. */
function guarded<Request, Answer>(
  tls: ServerTls | undefined,
  answer: (request: Request) => Promise<Answer>,
): handleUnaryCall<Request, Answer> {
  return (call, respond) => {
    const caller = tls && callerId(call)
    if (caller !== undefined && tls?.admins.has(caller) !== true) {
      respond(refusal(statuses.PERMISSION_DENIED, `authorization denied for method ${call.getPath()}`))
      return
    }
    answer(call.request).then(
      (response) => respond(null, response),
      (error: unknown) => respond(statusOf(error)),
    )
  }
}

function callerId(call: ServerUnaryCall<unknown, unknown>): string {
  const names = call.getAuthContext().sslPeerCertificate?.subjectaltname ?? ''
  return /URI:(\S+)/.exec(names)?.[1] ?? ''
}

function refusal(code: statuses, details: string): Error & Partial<StatusObject> {
  return Object.assign(new Error(details), { code, details })
}

function statusOf(error: unknown): ServerErrorResponse | Partial<StatusObject> {
  if (error instanceof SpireError) {
    return refusal(statuses[statusName(error.status) as keyof typeof statuses], error.message)
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'number') return error as ServerErrorResponse
  return { code: statuses.UNKNOWN, details: String(error) }
}

function poisoned(item: unknown): { readonly status: Pick<Status, 'code' | 'message'>; readonly id?: string } {
  const status = { code: statuses.INTERNAL, message: 'failed to create entry: datastore-sql: disk I/O error' }
  return typeof item === 'string' ? { status, id: item } : { status }
}

function readFilter(filter: ListEntriesRequest['filter'], trustDomain: string): EntryFilter {
  const { bySpiffeId, byParentId, bySelectors } = filter ?? {}
  const wanted = {
    ...(bySpiffeId !== undefined && { spiffeId: readId(bySpiffeId) }),
    ...(byParentId !== undefined && { parentId: readId(byParentId) }),
    ...(bySelectors !== undefined && { selectors: bySelectors.selectors }),
  }
  const problem = filterProblem(wanted, trustDomain)
  if (problem !== undefined) throw refusal(statuses.INVALID_ARGUMENT, problem)
  return wanted
}

type Content = EntryContent & { readonly id: string }

/** What the schema of this project leaves out of an entry is sent by nobody, and has its zero value. */
function contentOf(message: EntryMessage): Content {
  const { revision: _revision, ...content } = readEntry(message)
  return { ...content, hint: '', x509SvidTtl: 0 }
}

/** Without a mask an update writes everything, also what the client has left empty. */
function namedFields({ id: _id, ...content }: Content, mask: EntryMask | undefined): Partial<EntryContent> {
  if (mask === undefined) return content
  const named = Object.entries(content).filter(([field]) => mask[field as keyof EntryMask] === true)
  return Object.fromEntries(named)
}

/** Without a mask all is answered; under an empty one the id. */
function masked(entry: StoredEntry, mask: EntryMask | undefined): MessageInitShape<typeof EntrySchema> {
  const whole = { ...writeEntry(entry), admin: entry.admin, revisionNumber: entry.revision }
  if (mask === undefined) return whole
  const named = Object.entries(whole).filter(([field]) => field === 'id' || mask[field as keyof EntryMask] === true)
  return Object.fromEntries(named)
}

function withEntry(
  { code, message, entry }: ReturnType<EntryStore['create']>,
  mask: EntryMask | undefined,
): {
  readonly status: Pick<Status, 'code' | 'message'>
  readonly entry?: MessageInitShape<typeof EntrySchema>
} {
  return { status: { code, message }, ...(entry !== undefined && { entry: masked(entry, mask) }) }
}
