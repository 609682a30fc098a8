import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js'
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'

/** How a call is made. */
export interface CallOptions {
  /** Milliseconds until the call ends with DEADLINE_EXCEEDED. @default {no limit} */
  readonly timeout?: number
  /** @default {none} */
  readonly metadata?: Metadata
  /** Cancels the call; the server may have carried it out all the same. */
  readonly signal?: AbortSignal
}

/**
 * Calls a unary method.
 *
 * @throws {ServiceError} with the status that the server answered, or that stands for why it could not
 * @throws the signal's reason
 */
export function callUnary<Input extends DescMessage, Output extends DescMessage>(
  client: Client,
  method: DescMethodUnary<Input, Output>,
  request: MessageInitShape<Input>,
  { timeout, metadata = new Metadata(), signal }: CallOptions = {},
): Promise<MessageShape<Output>> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error)
      return
    }
    const onAbort = (): void => {
      reject(signal?.reason as Error)
      call.cancel()
    }
    const { path, serialize, deserialize } = wire(method)
    const call = client.makeUnaryRequest(
      path,
      serialize,
      deserialize,
      create(method.input, request),
      metadata,
      timeout === undefined ? {} : { deadline: Date.now() + timeout },
      (error: ServiceError | null, response?: MessageShape<Output>) => {
        signal?.removeEventListener('abort', onAbort)
        if (error !== null) reject(error)
        else if (response === undefined) reject(new Error(`${method.name} was answered without a message`))
        else resolve(response)
      },
    )
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * Calls a method that answers with a stream. Ends when the server ends it; the call is cancelled when the caller leaves the loop.
 *
 * @throws {ServiceError} with the status that ends the stream, or that stands for why there is none
 * @throws the signal's reason
 */
export async function* callServerStreaming<Input extends DescMessage, Output extends DescMessage>(
  client: Client,
  method: DescMethodServerStreaming<Input, Output>,
  request: MessageInitShape<Input>,
  { timeout, metadata = new Metadata(), signal }: CallOptions = {},
): AsyncGenerator<MessageShape<Output>, void, void> {
  signal?.throwIfAborted()
  const { path, serialize, deserialize } = wire(method)
  const options = timeout === undefined ? {} : { deadline: Date.now() + timeout }
  const stream = client.makeServerStreamRequest(
    path,
    serialize,
    deserialize,
    create(method.input, request),
    metadata,
    options,
  )
  const onAbort = (): void => stream.cancel()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    for await (const message of stream as AsyncIterable<MessageShape<Output>>) yield message
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    stream.cancel()
  }
}

/** What grpc-js wants to know of a method. */
function wire<Input extends DescMessage, Output extends DescMessage>(method: {
  readonly parent: { readonly typeName: string }
  readonly name: string
  readonly input: Input
  readonly output: Output
}) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (value: MessageShape<Input>) => Buffer.from(toBinary(method.input, value)),
    deserialize: (bytes: Buffer): MessageShape<Output> => fromBinary(method.output, bytes),
  }
}
