import type { ClientHttp2Stream } from 'node:http2'
import { ConnectionError } from './errors.ts'

/** Bytes. A page of 500 objects is far less. */
const longestBody = 256 << 20

/**
 * The bytes of a response as they arrive, until its end.
 *
 * Node's own iterator over a stream is of no use here: it takes a response for broken whose request the server did not read to the
 * end, which is how API servers refuse (RFC 9113 §8.1).
 *
 * @throws whatever broke the stream; without its end it is never complete
 */
export async function* bodyChunks(stream: ClientHttp2Stream): AsyncGenerator<Buffer, void, void> {
  let wake = (): void => {}
  const onChange = (): void => wake()
  const changes = ['readable', 'end', 'close', 'error'] as const
  for (const change of changes) stream.on(change, onChange)
  try {
    for (;;) {
      const chunk = stream.read() as Buffer | null
      if (chunk !== null) {
        yield chunk
        continue
      }
      if (stream.readableEnded) return
      if (stream.destroyed) throw stream.errored ?? new Error(`the server reset the stream with code ${stream.rstCode}`)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    for (const change of changes) stream.off(change, onChange)
  }
}

/**
 * The whole of a response.
 *
 * @throws whatever broke the stream, and for a response beyond all measure
 */
export async function readBody(stream: ClientHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of bodyChunks(stream)) {
    chunks.push(chunk)
    length += chunk.length
    if (length > longestBody) throw new Error(`the answer is longer than ${longestBody} bytes`)
  }
  return Buffer.concat(chunks, length)
}

/**
 * Reads an answer of the API.
 *
 * @returns undefined for an empty one
 * @throws {ConnectionError} for one that is not JSON: it was cut short, or did not come from an API server
 */
export function parseBody(body: Buffer): unknown {
  if (body.length === 0) return undefined
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new ConnectionError('the answer is not JSON', 'unknown', error)
  }
}
