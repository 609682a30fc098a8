import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * A name that one process of this machine holds at a time: a port to be used soon, a network for pods, the right to build. It is
 * an abstract unix socket (unix(7)), so the kernel takes it back when its process ends, however it ends.
 */
export class Claim {
  readonly name: string
  readonly #server: Server
  readonly #waiting: Set<Socket>

  private constructor(name: string, server: Server, waiting: Set<Socket>) {
    this.name = name
    this.#server = server
    this.#waiting = waiting
  }

  /** @returns undefined where another holds it */
  static async take(name: string): Promise<Claim | undefined> {
    const waiting = new Set<Socket>()
    const server = createServer((socket) => {
      waiting.add(socket.on('error', () => {}))
      socket.unref()
    })
    server.unref()
    server.listen(address(name))
    try {
      await once(server, 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined
      throw error
    }
    return new Claim(name, server, waiting)
  }

  /**
   * Takes the name as soon as it is free.
   *
   * @param onWait - called once, before the wait, where another holds it
   */
  static async wait(name: string, onWait: () => void): Promise<Claim> {
    for (let first = true; ; first = false) {
      const claim = await Claim.take(name)
      if (claim) return claim
      if (first) onWait()
      await released(name)
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#waiting) socket.destroy()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function address(name: string): string {
  return `\0podpass-test/${name}`
}

/** Resolves when the holder has let go: its end of a connection closes with its process. */
function released(name: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(address(name))
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
  })
}

/** The ports below the range from which the kernel picks local ports (ip_local_port_range), so that no connection takes one. */
const firstPort = 20_000
const portCount = 12_000

/**
 * A TCP port on loopback that nobody uses, and that no other test takes before its server is up or while it is down, for as long
 * as the claim is held.
 */
export async function claimPort(): Promise<{ readonly port: number; readonly claim: Claim }> {
  for (;;) {
    const port = firstPort + Math.floor(Math.random() * portCount)
    const claim = await Claim.take(`port/${port}`)
    if (!claim) continue
    if (await isFree(port)) return { port, claim }
    await claim.close()
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
