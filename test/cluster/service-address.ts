import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { run } from './command.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { kubectl } from './kubectl.ts'
import type { Pod } from './pod.ts'

/** An address as a pod sees it. */
export interface AddressInPod {
  readonly address: string
  readonly port: number
}

/**
 * Lets a pod reach a server of this machine's loopback at an address that nothing else leads to, as kube-proxy does: in the pod's network
 * namespace that address leads to a socket of this process, and from there to the server. It ends with this process or the pod.
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

  /** Leads a pod to the API server where every pod looks for it. Resolves once its sandbox is there and the address leads somewhere. */
  static async open(controlPlane: ControlPlaneAccess, pod: Pod): Promise<ServiceAddress> {
    const fields = 'jsonpath={.spec.clusterIP} {.spec.ports[0].port}'
    const service = await kubectl(controlPlane, ['get', 'service', 'kubernetes', '-n', 'default', '-o', fields])
    const [address = '', port = ''] = service.split(' ')
    return ServiceAddress.lead(controlPlane, pod, { address, port: Number(port) }, new URL(controlPlane.server).host)
  }

  /**
   * Resolves once the pod's sandbox is there and the address leads somewhere.
   *
   * @param server - `host:port` on this machine
   */
  static async lead(
    controlPlane: ControlPlaneAccess,
    pod: Pod,
    { address, port }: AddressInPod,
    server: string,
  ): Promise<ServiceAddress> {
    const socket = join(controlPlane.directory, `${port}-${pod.uid}.sock`)
    const { hostname, port: serverPort } = new URL(`tcp://${server}`)
    const forward = createServer((client) => {
      const beyond = connect(Number(serverPort), hostname)
      client.on('error', () => beyond.destroy()).pipe(beyond)
      beyond.on('error', () => client.destroy()).pipe(client)
    })
    await rm(socket, { force: true })
    forward.listen(socket).unref()
    await once(forward, 'listening')
    const sandbox = ['--for=condition=PodReadyToStartContainers', '--timeout=60s']
    await kubectl(controlPlane, ['wait', 'pod', pod.name, '-n', pod.namespace, ...sandbox])
    const inPod = ['--target', String(await firstProcessOf(pod)), '--net', '--']
    await run('nsenter', [...inPod, 'busybox', 'ip', 'address', 'add', `${address}/32`, 'dev', 'lo'])
    const program = [process.execPath, join(import.meta.dirname, 'forward.ts'), address, String(port), socket]
    const log = join(controlPlane.directory, 'log/service-address')
    const forwarder = await Daemon.start('nsenter', [...inPod, ...program], { log })
    return new ServiceAddress(forward, forwarder, socket)
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
