import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Identity, Node } from '../../src/gen/csi/v1/csi_pb.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import { publishCall, type TestVolume } from './node.ts'
import { until } from './until.ts'

/** The program `podpass driver` itself, with an API server that nobody serves. */
export class CliDriver {
  readonly folder: string
  readonly #client: UnixClient
  readonly #kill: (signal: 'SIGTERM' | 'SIGKILL') => void
  readonly #ended: Promise<unknown[]>

  private constructor(
    folder: string,
    client: UnixClient,
    kill: (signal: 'SIGTERM' | 'SIGKILL') => void,
    ended: Promise<unknown[]>,
  ) {
    this.folder = folder
    this.#client = client
    this.#kill = kill
    this.#ended = ended
  }

  /** @param dataRoot - told from the folder of the driver; resolves once the socket is served */
  static async start(dataRoot: (folder: string) => string = (folder) => join(folder, 'data')): Promise<CliDriver> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-'))
    await writeFile(join(folder, 'kubeconfig'), kubeconfigOf('https://127.0.0.1:1'))
    const program = join(import.meta.dirname, '../../src/cli/main.ts')
    const flags = {
      'node-id': 'node-1',
      endpoint: `unix://${folder}/csi.sock`,
      'data-root': dataRoot(folder),
      kubeconfig: join(folder, 'kubeconfig'),
    }
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
    // In a folder of its own, so that a path that is taken from there is not found elsewhere by chance.
    const child = spawn(process.execPath, [program, 'driver', ...args], { cwd: folder, stdio: 'ignore' })
    const client = new UnixClient(join(folder, 'csi.sock'))
    const driver = new CliDriver(folder, client, (signal) => child.kill(signal), once(child, 'exit'))
    await until('the socket is served', () => {
      if (child.exitCode !== null) throw new Error(`podpass driver ended with ${child.exitCode}`)
      return driver.probe().catch(() => false)
    }).catch(async (error: unknown) => {
      await driver.close()
      throw error
    })
    return driver
  }

  async probe(): Promise<boolean> {
    return (await this.#client.call(Identity.method.probe, {})).ready !== false
  }

  async publish(volume: TestVolume): Promise<void> {
    await this.#client.call(Node.method.nodePublishVolume, publishCall(volume))
  }

  async unpublish({ id, target }: TestVolume): Promise<void> {
    await this.#client.call(Node.method.nodeUnpublishVolume, { volumeId: id, targetPath: target })
  }

  /**
   * Ends it as a kubelet does.
   *
   * @returns its exit code, and the signal that ended it
   */
  async stop(): Promise<readonly unknown[]> {
    this.#kill('SIGTERM')
    return this.#ended
  }

  async close(): Promise<void> {
    this.#client.close()
    this.#kill('SIGKILL')
    await this.#ended
    await rm(this.folder, { recursive: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** A kubeconfig of somebody without rights. */
function kubeconfigOf(server: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    users: [{ name: 'test', user: { token: 'none' } }],
  })
}
