import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { run } from './command.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { kubectl } from './kubectl.ts'
import type { Pod } from './pod.ts'

/**
 * Lets a pod reach the API server where every pod looks for it, at the address of the service `kubernetes`, as kube-proxy does: in
 * the pod's network namespace that address leads to a socket of this process, and from there to the API server on loopback. It ends
 * with this process or the pod.
 */
export class ServiceAddress {
  readonly #server: Server
  readonly #forwarder: Daemon
  readonly #socket: string

  private constructor(server: Server, forwarder: Daemon, socket: string) {
    this.#server = server
    this.#forwarder = forwarder
    this.#socket = socket
  }

  /** Resolves once the pod's sandbox is there and its address leads somewhere. */
  static async open(controlPlane: ControlPlaneAccess, pod: Pod): Promise<ServiceAddress> {
    const fields = 'jsonpath={.spec.clusterIP} {.spec.ports[0].port}'
    const service = await kubectl(controlPlane, ['get', 'service', 'kubernetes', '-n', 'default', '-o', fields])
    const [address = '', port = ''] = service.split(' ')
    const socket = join(controlPlane.directory, `api-${pod.uid}.sock`)
    const { hostname, port: apiPort } = new URL(controlPlane.server)
    const server = createServer((client) => {
      const api = connect(Number(apiPort), hostname)
      client.on('error', () => api.destroy()).pipe(api)
      api.on('error', () => client.destroy()).pipe(client)
    })
    await rm(socket, { force: true })
    server.listen(socket).unref()
    await once(server, 'listening')
    const sandbox = ['--for=condition=PodReadyToStartContainers', '--timeout=60s']
    await kubectl(controlPlane, ['wait', 'pod', pod.name, '-n', pod.namespace, ...sandbox])
    const inPod = ['--target', String(await firstProcessOf(pod)), '--net', '--']
    await run('nsenter', [...inPod, 'busybox', 'ip', 'address', 'add', `${address}/32`, 'dev', 'lo'])
    const program = [process.execPath, join(import.meta.dirname, 'forward.ts'), address, port, socket]
    const log = join(controlPlane.directory, 'log/service-address')
    const forwarder = await Daemon.start('nsenter', [...inPod, ...program], { log })
    return new ServiceAddress(server, forwarder, socket)
  }

  async close(): Promise<void> {
    await this.#forwarder.close()
    this.#server.close()
    await rm(this.#socket, { force: true })
  }
}

/**
 * The oldest process of a pod, which keeps its sandbox, as this machine numbers it. The kubelet puts a pod's processes below a cgroup
 * with its UID.
 */
async function firstProcessOf({ uid, name }: Pod): Promise<number> {
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number)
  for (const process of processes.sort((one, other) => one - other)) {
    const cgroup = await readFile(`/proc/${process}/cgroup`, 'utf8').catch(() => '')
    if (cgroup.includes(`pod${uid}`)) return process
  }
  throw new Error(`no process of pod ${name} runs on this machine`)
}
