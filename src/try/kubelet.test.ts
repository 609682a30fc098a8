import { access, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  Node,
  NodeGetCapabilitiesResponseSchema,
  type NodePublishVolumeRequest,
  NodePublishVolumeResponseSchema,
  NodeServiceCapability_RPC_Type as Rpc,
  NodeUnpublishVolumeResponseSchema,
} from '../gen/csi/v1/csi_pb.ts'
import type { Clock } from '../runtime/clock.ts'
import { implementation, serviceDefinition } from '../runtime/grpc-service.ts'
import { type KubeletGround, publishVolume, unpublishVolume } from './kubelet.ts'
import { targetPath, volumeHandle } from './kubelet-request.ts'
import { samplePlanned } from './sample.ts'

const planned = samplePlanned('app')
const never = new AbortController().signal
let root: string
/** A driver that answers as it is told, and keeps what it was asked. */
let server: Server
let ground: KubeletGround
let answers: (status | undefined)[]
let calls: string[]
let published: NodePublishVolumeRequest[]
let waits: number[]

/** A clock whose waits end at once. */
const hurried: Clock = {
  now: () => Date.now(),
  timer(delay, fire) {
    waits.push(delay)
    const handle = setImmediate(fire)
    return { cancel: () => clearImmediate(handle) }
  },
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'podpass-kubelet-'))
  ;[answers, calls, published, waits] = [[], [], [], []]
  server = new Server()
  server.addService(
    serviceDefinition(Node),
    implementation<typeof Node>({
      nodeGetInfo: (_call, answer) => answer({ code: status.UNIMPLEMENTED }),
      nodeGetVolumeStats: (_call, answer) => answer({ code: status.UNIMPLEMENTED }),
      nodeGetCapabilities: (call, answer) => {
        calls.push(`NodeGetCapabilities ${call.getHost()}`)
        const type = { case: 'rpc', value: { type: Rpc.VOLUME_MOUNT_GROUP } } as const
        answer(null, create(NodeGetCapabilitiesResponseSchema, { capabilities: [{ type }] }))
      },
      nodePublishVolume: (call, answer) => {
        calls.push('NodePublishVolume')
        published.push(call.request)
        const code = answers.shift()
        if (code === undefined) answer(null, create(NodePublishVolumeResponseSchema))
        else answer({ code, details: 'because' })
      },
      nodeUnpublishVolume: (call, answer) => {
        calls.push(`NodeUnpublishVolume ${call.request.volumeId} ${call.request.targetPath}`)
        answer(null, create(NodeUnpublishVolumeResponseSchema))
      },
    }),
  )
  const socket = join(root, 'csi.sock')
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve()
      else reject(error)
    })
  })
  ground = { root: join(root, 'kubelet'), socket, driver: 'csi.cert-manager.io', nodeName: 'node-1', clock: hurried }
})

afterEach(async () => {
  server.forceShutdown()
  await rm(root, { recursive: true, force: true })
})

const target = (): string => targetPath(ground.root, planned.pod.uid, 'tls')

test('a publish asks for each ability first, with the authority of a kubelet, and leaves the target to the driver', async () => {
  await publishVolume(ground, planned, never)
  expect(calls).toEqual(['NodeGetCapabilities localhost', 'NodeGetCapabilities localhost', 'NodePublishVolume'])
  expect(published[0]).toMatchObject({ targetPath: target(), volumeId: volumeHandle(planned.pod.uid, 'tls') })
  expect(await readdir(dirname(target()))).toEqual(['vol_data.json'])
  expect(JSON.parse(await readFile(join(dirname(target()), 'vol_data.json'), 'utf8'))).toMatchObject({
    driverName: 'csi.cert-manager.io',
    volumeHandle: volumeHandle(planned.pod.uid, 'tls'),
    volumeLifecycleMode: 'Ephemeral',
  })
})

test('an undecided answer is asked for again, ever later', async () => {
  answers = [status.UNAVAILABLE, status.ABORTED, status.DEADLINE_EXCEEDED]
  await publishVolume(ground, planned, never)
  expect(published).toHaveLength(4)
  expect(waits).toEqual([500, 1000, 2000])
})

test.each([status.INVALID_ARGUMENT, status.FAILED_PRECONDITION, status.INTERNAL])(
  'status %i is final',
  async (code) => {
    answers = [code]
    await expect(publishVolume(ground, planned, never)).rejects.toMatchObject({
      code: 'CSI_CALL_FAILED',
      status: status[code],
      message: expect.stringContaining('because') as string,
    })
    expect(published).toHaveLength(1)
  },
)

test('whoever interrupts a publish is heard', async () => {
  const interruption = new AbortController()
  const reason = new Error('enough')
  answers = [status.UNAVAILABLE]
  const endless: Clock = {
    ...hurried,
    timer: () => {
      setImmediate(() => interruption.abort(reason))
      return { cancel: () => {} }
    },
  }
  await expect(publishVolume({ ...ground, clock: endless }, planned, interruption.signal)).rejects.toBe(reason)
})

test('after an unpublish nothing of the pod is left in the folder of the kubelet', async () => {
  await publishVolume(ground, planned, never)
  await unpublishVolume(ground, planned, never)
  expect(calls.at(-1)).toBe(`NodeUnpublishVolume ${volumeHandle(planned.pod.uid, 'tls')} ${target()}`)
  expect(await readdir(ground.root)).toEqual([])
})

test('a target that the driver has left stays to be found', async () => {
  await publishVolume(ground, planned, never)
  await mkdir(target())
  await unpublishVolume(ground, planned, never)
  await expect(access(target())).resolves.toBeUndefined()
})
