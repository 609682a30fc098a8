import { apiErrorFromStatus } from './answer.ts'
import { ConnectionError } from './errors.ts'
import { LineSplitter } from './json-lines.ts'
import type { KubernetesObject } from './object.ts'
import type { ApiRequest } from './request.ts'
import type { Transport } from './transport.ts'

/** One event of a watch. A bookmark's object has `metadata.resourceVersion`, and annotations, and nothing else. */
export type WatchEvent<T extends KubernetesObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly object: KubernetesObject }

/** Bytes. An object is at most 3 MiB in etcd by default, and JSON at most a few times that. */
const longestEvent = 32 << 20

/**
 * Opens a watch and yields its events until the server ends it.
 *
 * @throws {ApiError} also for an ERROR event, whose object is a Status
 * @throws {ConnectionError} also for an event that is cut short
 * @throws the signal's reason
 */
export async function* watchEvents<T extends KubernetesObject>(
  transport: Transport,
  request: ApiRequest,
  signal: AbortSignal | undefined,
  onOpen: (() => void) | undefined,
): AsyncGenerator<WatchEvent<T>, void, void> {
  const watch = await transport.watch(request, signal)
  const splitter = new LineSplitter(longestEvent)
  try {
    onOpen?.()
    for await (const lines of linesOf(watch.chunks, splitter, (error) => watch.explain(error))) {
      for (const line of lines) yield parseEvent<T>(line, request)
    }
    if (splitter.pending > 0) {
      throw watch.explain(new Error('the watch ended in the middle of an event')) ?? new Error('unreachable')
    }
  } finally {
    watch.close()
  }
}

/** Only errors of the connection are explained; those of whoever consumes the events are not ours. */
async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  splitter: LineSplitter,
  explain: (error: unknown) => Error | undefined,
): AsyncGenerator<Buffer[], void, void> {
  try {
    for await (const chunk of chunks) yield splitter.push(chunk)
  } catch (error) {
    const reason = explain(error)
    if (reason !== undefined) throw reason
  }
}

function parseEvent<T extends KubernetesObject>(line: Buffer, request: ApiRequest): WatchEvent<T> {
  let event: { readonly type?: unknown; readonly object?: unknown }
  try {
    event = JSON.parse(line.toString('utf8')) as typeof event
  } catch (error) {
    throw new ConnectionError(`GET ${request.path}: a watch event is not JSON`, 'unknown', error)
  }
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return event as WatchEvent<T>
    case 'ERROR':
      throw apiErrorFromStatus(`GET ${request.path}`, event.object ?? {})
    default:
      throw new ConnectionError(`GET ${request.path}: unknown watch event ${JSON.stringify(event.type)}`, 'unknown')
  }
}
