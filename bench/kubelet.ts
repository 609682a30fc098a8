// A worker: what the kubelet does with a CSI driver. It runs in the mount namespace of the driver and looks at what it mounted.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdir, readFile, readlink, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { Identity, Node } from '../src/gen/csi/v1/csi_pb.ts'
import { UnixClient } from '../src/runtime/grpc-client.ts'
import { mountAt, readMountInfo } from '../src/volume/mount-info.ts'
import { serve } from './worker.ts'

/** A volume as a kubelet publishes it. */
export interface Volume {
  readonly id: string
  readonly target: string
  /** The volume context. */
  readonly context: Readonly<Record<string, string>>
}

/** What was seen in mounts over some time. */
export interface Observation {
  /** How many seconds, over all volumes, a mount showed a certificate that had ended. */
  readonly expiredSeconds: number
  /** How often a certificate changed. */
  readonly renewals: number
  /** How often a key did not belong to its certificate, or a file could not be read. */
  readonly problems: readonly string[]
}

/** How often a socket is tried that is not there yet, in milliseconds; a listener gives no event that another process can wait for. */
const connectPause = 2

/** Between two probes, in milliseconds. */
const probePause = 5

let client: UnixClient | undefined

const methods = {
  /** Resolves once the driver answers Probe. */
  async connect(socket: string): Promise<void> {
    client?.close()
    client = undefined
    while (!(await accepts(socket))) await delay(connectPause)
    const candidate = new UnixClient(socket)
    await candidate.call(Identity.method.probe, {})
    client = candidate
  },

  /**
   * Publishes volumes, all at once, over one connection.
   *
   * @returns milliseconds from the first call until each answer
   */
  async publish(volumes: readonly Volume[]): Promise<readonly number[]> {
    for (const { target } of volumes) await mkdir(dirname(target), { recursive: true })
    const started = performance.now()
    return Promise.all(
      volumes.map(async (volume) => {
        await publishOne(volume)
        return performance.now() - started
      }),
    )
  },

  /**
   * Publishes volumes, all at once, and probes the driver all the while.
   *
   * @returns milliseconds until each answer, and how long each probe took
   */
  async publishProbing(
    volumes: readonly Volume[],
  ): Promise<{ latencies: readonly number[]; probes: readonly number[] }> {
    const probes: number[] = []
    const over = new AbortController()
    const probe = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const started = performance.now()
        await connected().call(Identity.method.probe, {})
        probes.push(performance.now() - started)
        await delay(probePause)
      }
    }
    const probing = probe()
    const latencies = await methods.publish(volumes).finally(() => over.abort())
    await probing
    return { latencies, probes }
  },

  /** Publishes a volume, again and again while the driver says that it cannot yet. */
  async publishPatiently(volume: Volume): Promise<void> {
    await mkdir(dirname(volume.target), { recursive: true })
    for (let attempts = 0; ; attempts++) {
      try {
        await publishOne(volume)
        return
      } catch (error) {
        if ((error as { code?: unknown }).code !== status.UNAVAILABLE || attempts === 100) throw error
      }
      await delay(100)
    }
  },

  async unpublish(volumes: readonly Volume[]): Promise<void> {
    await Promise.all(
      volumes.map(async ({ id, target }) => {
        await connected().call(Node.method.nodeUnpublishVolume, { volumeId: id, targetPath: target })
        await rm(dirname(target), { recursive: true })
      }),
    )
  },

  /** Looks whether each volume shows a certificate with its key, read-only. @returns what is wrong */
  async check(volumes: readonly Volume[]): Promise<readonly string[]> {
    const problems: string[] = []
    const mounts = await readMountInfo()
    for (const volume of volumes) {
      await look(volume).catch((error: Error) => problems.push(error.message))
      const options = mountAt(mounts, volume.target)?.options
      if (options?.includes('ro') !== true) problems.push(`${volume.target} is not mounted read-only`)
    }
    return problems
  },

  /** Looks into every volume once a second. @param seconds - for how long */
  async observe(volumes: readonly Volume[], seconds: number): Promise<Observation> {
    const problems: string[] = []
    const serials = new Map<string, string>()
    let [expiredSeconds, renewals] = [0, 0]
    const end = performance.now() + seconds * 1000
    for (let next = performance.now(); next < end; next += 1000) {
      await delay(Math.max(0, next - performance.now()))
      for (const volume of volumes) {
        const seen = await look(volume).catch((error: Error) => void problems.push(error.message))
        if (seen === undefined) continue
        if (seen.validToDate.getTime() < Date.now()) expiredSeconds++
        const before = serials.get(volume.id)
        if (before !== undefined && before !== seen.serialNumber) renewals++
        serials.set(volume.id, seen.serialNumber)
      }
    }
    return { expiredSeconds, renewals, problems }
  },

  /** How many mounts there are below a path. */
  async mountsBelow(path: string): Promise<number> {
    return (await readMountInfo()).filter(({ mountPoint }) => mountPoint.startsWith(`${path}/`)).length
  },
}

export type Kubelet = typeof methods

serve(methods)

function connected(): UnixClient {
  if (client === undefined) throw new Error('the kubelet is not connected to the driver')
  return client
}

/** The time-out is the kubelet's own (csi_plugin.go, csiTimeout). */
async function publishOne({ id, target, context }: Volume): Promise<void> {
  await connected().call(
    Node.method.nodePublishVolume,
    {
      volumeId: id,
      targetPath: target,
      volumeCapability: { accessType: { case: 'mount', value: {} }, accessMode: { mode: 1 } },
      volumeContext: { ...context },
      readonly: true,
    },
    120_000,
  )
}

/**
 * The certificate that a volume shows.
 *
 * @throws where it cannot be read or has another key; a look through `..data` at one generation, which may go meanwhile, is repeated
 */
async function look({ target }: Volume): Promise<X509Certificate> {
  for (let attempts = 1; ; attempts++) {
    try {
      const generation = join(target, await readlink(join(target, '..data')))
      const leaf = new X509Certificate(await readFile(join(generation, 'tls.crt')))
      if (leaf.checkPrivateKey(createPrivateKey(await readFile(join(generation, 'tls.key'))))) return leaf
      throw new Error("the key is not the certificate's")
    } catch (error) {
      if (attempts === 3) throw new Error(`${target}: ${String(error)}`, { cause: error })
    }
  }
}

/** Whether somebody listens. */
function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
