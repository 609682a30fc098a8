import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'

/** Calls the unary methods of services on one Unix socket. */
export class UnixClient {
  readonly #client: Client

  /** @param path - absolute */
  constructor(path: string) {
    this.#client = new Client(`unix:${path}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      // Not the connection of an earlier client of this path: another process may serve it by now.
      'grpc.use_local_subchannel_pool': 1,
    })
  }

  /**
   * @param timeout - milliseconds until the call ends with DEADLINE_EXCEEDED
   * @throws {ServiceError} with the status that the server answered
   */
  call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    timeout = 120_000,
  ): Promise<MessageShape<Output>> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (value: MessageShape<Input>) => Buffer.from(toBinary(method.input, value)),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        create(method.input, request),
        { deadline: Date.now() + timeout },
        (error: ServiceError | null, response?: MessageShape<Output>) => {
          if (error !== null) reject(error)
          else if (response === undefined) reject(new Error(`${method.name} was answered without a message`))
          else resolve(response)
        },
      )
    })
  }

  close(): void {
    this.#client.close()
  }
}
