import type { handleUnaryCall, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { type DescMessage, type DescService, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'

/** Binds a message's descriptor to the two functions that grpc-js calls. */
function codec<Message extends DescMessage>(message: Message) {
  return {
    serialize: (value: MessageShape<Message>) => Buffer.from(toBinary(message, value)),
    deserialize: (bytes: Buffer) => fromBinary(message, bytes),
  }
}

/** Describes a service of protobuf-es to grpc-js; every method is unary. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => {
      const request = codec(method.input)
      const response = codec(method.output)
      return [
        method.localName,
        {
          path: `/${service.typeName}/${method.name}`,
          requestStream: false,
          responseStream: false,
          requestSerialize: request.serialize,
          requestDeserialize: request.deserialize,
          responseSerialize: response.serialize,
          responseDeserialize: response.deserialize,
        },
      ]
    }),
  )
}

/** The unary methods of a service, each under its local name. */
export type UnaryMethods<Service extends DescService> = {
  readonly [Name in keyof Service['method']]: handleUnaryCall<
    MessageShape<Service['method'][Name]['input']>,
    MessageShape<Service['method'][Name]['output']>
  >
}

/** The unary methods of a service, in the type that grpc-js takes. */
export function implementation<Service extends DescService>(
  methods: UnaryMethods<Service>,
): UntypedServiceImplementation {
  return methods
}
