import { Client, credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js'
import { create } from '@bufbuild/protobuf'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Health, HealthCheckResponseSchema } from '../gen/grpc/health/v1/health_pb.ts'
import { SpiffeWorkloadAPI, X509SVIDResponseSchema } from '../gen/spiffe/workload_pb.ts'
import { callServerStreaming, callUnary } from './grpc-call.ts'
import { implementation, serviceDefinition, type ServiceMethods } from './grpc-service.ts'
import { grpcStatus } from './grpc-status.ts'

const { check } = Health.method
const { fetchX509SVID } = SpiffeWorkloadAPI.method

let folder: string
let server: Server
let client: Client
/** What the server does with a call. */
let answer: ServiceMethods<typeof Health>['check']
let stream: ServiceMethods<typeof SpiffeWorkloadAPI>['fetchX509SVID']

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-'))
  const path = join(folder, 'api.sock')
  server = new Server()
  server.addService(
    serviceDefinition(Health),
    implementation<typeof Health>({ check: (call, respond) => answer(call, respond) }),
  )
  server.addService(
    serviceDefinition(SpiffeWorkloadAPI),
    implementation<typeof SpiffeWorkloadAPI>({ fetchX509SVID: (call) => stream(call) }),
  )
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    )
  })
  client = new Client(`unix:${path}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
})

afterEach(async () => {
  client.close()
  server.forceShutdown()
  await rm(folder, { recursive: true })
})

/** An aborted signal whose server learns of it. */
function stopping() {
  const stop = new AbortController()
  return { signal: stop.signal, stop: () => stop.abort(new Error('enough')) }
}

describe('a unary call', () => {
  test('carries its metadata, and its answer arrives', async () => {
    answer = (call, respond) => {
      const status = call.metadata.get('x-test')[0] === 'yes' ? 1 : 2
      respond(null, create(HealthCheckResponseSchema, { status }))
    }
    const metadata = new Metadata()
    metadata.set('x-test', 'yes')
    expect(await callUnary(client, check, {}, { metadata })).toMatchObject({ status: 1 })
    expect(await callUnary(client, check, {})).toMatchObject({ status: 2 })
  })

  test("ends with its signal's reason, and the server learns of it", async () => {
    const { signal, stop } = stopping()
    const cancelled = new Promise<void>((resolve) => {
      answer = (call) => {
        call.on('cancelled', () => resolve())
        stop()
      }
    })
    await expect(callUnary(client, check, {}, { signal })).rejects.toThrow('enough')
    await cancelled
    await expect(callUnary(client, check, {}, { signal })).rejects.toThrow('enough')
  })
})

describe('a call that is answered with a stream', () => {
  test('has its messages in order, and ends with the stream', async () => {
    stream = (call) => {
      for (const name of ['a', 'b']) call.write(create(X509SVIDResponseSchema, { svids: [{ spiffeId: name }] }))
      call.end()
    }
    const names: (string | undefined)[] = []
    for await (const { svids } of callServerStreaming(client, fetchX509SVID, {})) names.push(svids[0]?.spiffeId)
    expect(names).toEqual(['a', 'b'])
  })

  test('throws the status that ends it', async () => {
    stream = (call) => void call.emit('error', { code: grpcStatus.PERMISSION_DENIED, details: 'no identity issued' })
    const messages = callServerStreaming(client, fetchX509SVID, {})
    await expect(messages.next()).rejects.toMatchObject({ code: grpcStatus.PERMISSION_DENIED })
  })

  test('is cancelled when its reader leaves, and nothing is left to fail', async () => {
    const cancelled = new Promise<void>((resolve) => {
      stream = (call) => {
        call.on('cancelled', () => resolve())
        call.write(create(X509SVIDResponseSchema))
      }
    })
    for await (const message of callServerStreaming(client, fetchX509SVID, {})) {
      expect(message.svids).toEqual([])
      break
    }
    await cancelled
  })

  test("ends with its signal's reason", async () => {
    const { signal, stop } = stopping()
    stream = (call) => void call.write(create(X509SVIDResponseSchema))
    const messages = callServerStreaming(client, fetchX509SVID, {}, { signal })
    await messages.next()
    stop()
    await expect(messages.next()).rejects.toThrow('enough')
    await expect(callServerStreaming(client, fetchX509SVID, {}, { signal }).next()).rejects.toThrow('enough')
  })
})
