import { Client, credentials } from '@grpc/grpc-js'
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { callUnary } from './grpc-call.ts'

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
    return callUnary(this.#client, method, request, { timeout })
  }

  close(): void {
    this.#client.close()
  }
}
