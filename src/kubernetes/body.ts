import type { ClientHttp2Stream } from 'node:http2'

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
