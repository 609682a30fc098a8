import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'

/** Binds a message's descriptor to the two functions that grpc-js calls. */
function codec<Message extends DescMessage>(message: Message) {
  return {
    serialize: (value: MessageShape<Message>) => Buffer.from(toBinary(message, value)),
    deserialize: (bytes: Buffer) => fromBinary(message, bytes),
  }
}

/** Describes a service of protobuf-es to grpc-js; its methods take one message each. */
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
          responseStream: method.methodKind === 'server_streaming',
          requestSerialize: request.serialize,
          requestDeserialize: request.deserialize,
          responseSerialize: response.serialize,
          responseDeserialize: response.deserialize,
        },
      ]
    }),
  )
}

type Handler<Method extends DescMethod> = Method extends { readonly methodKind: 'server_streaming' }
  ? handleServerStreamingCall<MessageShape<Method['input']>, MessageShape<Method['output']>>
  : handleUnaryCall<MessageShape<Method['input']>, MessageShape<Method['output']>>

/** The methods of a service, each under its local name. */
export type ServiceMethods<Service extends DescService> = {
  readonly [Name in keyof Service['method']]: Handler<Service['method'][Name]>
}

/** The methods of a service, in the type that grpc-js takes. */
export function implementation<Service extends DescService>(
  methods: ServiceMethods<Service>,
): UntypedServiceImplementation {
  return methods
}
