import { create, type DescService, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  Client,
  credentials,
  type sendUnaryData,
  Server,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import {
  GetPluginCapabilitiesResponseSchema,
  Identity,
  Node,
  PluginCapability_Service_Type,
  PluginCapabilitySchema,
} from '../../src/gen/csi/v1/csi_pb.ts'
import { serviceDefinition } from '../../src/runtime/grpc-service.ts'
import { listenUnix } from './grpc-socket.ts'

type Answer = (error: Partial<ServiceError> | null, response?: Buffer) => void

/**
 * A CSI socket that hands every call, byte for byte, to a driver's, but for one thing: it says that the plugin has a controller.
 * Without that, csi-sanity leaves out whatever needs a volume that can be created.
 */
export class CsiProxy {
  readonly #server: Server
  readonly #driver: Client

  private constructor(server: Server, driver: Client) {
    this.#server = server
    this.#driver = driver
  }

  /**
   * @param socket - the path to serve on
   * @param driverSocket - the driver's own
   */
  static async start(socket: string, driverSocket: string): Promise<CsiProxy> {
    const driver = new Client(`unix:${driverSocket}`, credentials.createInsecure())
    const server = new Server()
    server.addService(rawDefinition(Node), forwarding(Node, driver))
    server.addService(rawDefinition(Identity), {
      ...forwarding(Identity, driver),
      getPluginCapabilities: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
        forward(driver, call, (error, response) => answer(error, response && withController(response)))
      },
    })
    await listenUnix(server, socket)
    return new CsiProxy(server, driver)
  }

  close(): void {
    this.#server.forceShutdown()
    this.#driver.close()
  }
}

function withController(response: Buffer): Buffer {
  const { capabilities } = fromBinary(GetPluginCapabilitiesResponseSchema, response)
  const value = { type: PluginCapability_Service_Type.CONTROLLER_SERVICE }
  const controller = create(PluginCapabilitySchema, { type: { case: 'service', value } })
  const all = create(GetPluginCapabilitiesResponseSchema, { capabilities: [...capabilities, controller] })
  return Buffer.from(toBinary(GetPluginCapabilitiesResponseSchema, all))
}

const unchanged = (bytes: Buffer): Buffer => bytes

/** The service with messages left as the bytes they are. */
function rawDefinition(service: DescService): ServiceDefinition {
  const codec = {
    requestSerialize: unchanged,
    requestDeserialize: unchanged,
    responseSerialize: unchanged,
    responseDeserialize: unchanged,
  }
  return Object.fromEntries(
    Object.entries(serviceDefinition(service)).map(([name, method]) => [name, { ...method, ...codec }]),
  )
}

function forwarding(service: DescService, driver: Client): UntypedServiceImplementation {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => forward(driver, call, answer),
    ]),
  )
}

function forward(driver: Client, call: ServerUnaryCall<Buffer, Buffer>, answer: Answer): void {
  const options = { deadline: call.getDeadline() }
  driver.makeUnaryRequest(call.getPath(), unchanged, unchanged, call.request, call.metadata, options, answer)
}
