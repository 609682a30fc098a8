import { create } from '@bufbuild/protobuf'
import { type handleUnaryCall, Server, ServerCredentials, status } from '@grpc/grpc-js'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  Identity,
  Node,
  NodeGetCapabilitiesResponseSchema,
  NodeGetInfoResponseSchema,
  type NodePublishVolumeRequest,
  type NodePublishVolumeResponse,
  NodePublishVolumeResponseSchema,
  NodeUnpublishVolumeResponseSchema,
} from '../gen/csi/v1/csi_pb.ts'
import { UnixClient } from './grpc-client.ts'
import { implementation, serviceDefinition, type ServiceMethods } from './grpc-service.ts'

test('a service is described by its full names, and those of the driver are all unary', () => {
  const definition = serviceDefinition(Node)
  expect(Object.keys(definition)).toEqual(Node.methods.map(({ localName }) => localName))
  expect(definition['nodePublishVolume']).toMatchObject({
    path: '/csi.v1.Node/NodePublishVolume',
    requestStream: false,
    responseStream: false,
  })
})

describe('a service on a socket', () => {
  let folder: string
  let server: Server
  let client: UnixClient
  let published: NodePublishVolumeRequest | undefined
  let publish: handleUnaryCall<NodePublishVolumeRequest, NodePublishVolumeResponse>

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'podpass-'))
    server = new Server()
    const methods: ServiceMethods<typeof Node> = {
      nodePublishVolume: (call, answer) => {
        published = call.request
        publish(call, answer)
      },
      nodeUnpublishVolume: (_call, answer) => answer(null, create(NodeUnpublishVolumeResponseSchema)),
      nodeGetVolumeStats: () => {},
      nodeGetCapabilities: (_call, answer) => answer(null, create(NodeGetCapabilitiesResponseSchema)),
      nodeGetInfo: (_call, answer) => answer(null, create(NodeGetInfoResponseSchema, { nodeId: 'node-1' })),
    }
    server.addService(serviceDefinition(Node), implementation<typeof Node>(methods))
    const address = join(folder, 'csi.sock')
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${address}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      )
    })
    client = new UnixClient(address)
  })

  afterAll(() => {
    client.close()
    server.forceShutdown()
    rmSync(folder, { recursive: true, force: true })
  })

  test('gets each field of a request, and its answer arrives', async () => {
    publish = (_call, answer) => answer(null, create(NodePublishVolumeResponseSchema))
    await client.call(Node.method.nodePublishVolume, {
      volumeId: 'csi-1',
      targetPath: '/ключ',
      volumeCapability: { accessType: { case: 'mount', value: { volumeMountGroup: '2000', mountFlags: ['a'] } } },
      readonly: true,
      volumeContext: { a: 'b', '': 'empty key' },
    })
    expect(published).toMatchObject({
      volumeId: 'csi-1',
      targetPath: '/ключ',
      volumeCapability: { accessType: { case: 'mount', value: { volumeMountGroup: '2000', mountFlags: ['a'] } } },
      readonly: true,
      volumeContext: { a: 'b', '': 'empty key' },
    })
    expect((await client.call(Node.method.nodeGetInfo, {})).nodeId).toBe('node-1')
  })

  test('hands its status to the caller', async () => {
    publish = (_call, answer) => answer({ code: status.FAILED_PRECONDITION, details: 'denied: nein, "ключ" 100%' })
    await expect(client.call(Node.method.nodePublishVolume, {})).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: 'denied: nein, "ключ" 100%',
    })
  })

  test('that does not answer in time ends the call at its deadline', async () => {
    await expect(client.call(Node.method.nodeGetVolumeStats, {}, 50)).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    })
  })

  test('that is not there says so', async () => {
    await expect(client.call(Identity.method.probe, {})).rejects.toMatchObject({ code: status.UNIMPLEMENTED })
  })
})

test('a socket that nobody serves is told as such', async () => {
  const client = new UnixClient('/nonexistent/csi.sock')
  await expect(client.call(Node.method.nodeGetInfo, {}, 5000)).rejects.toMatchObject({ code: status.UNAVAILABLE })
  client.close()
})
