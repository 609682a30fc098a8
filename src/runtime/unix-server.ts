import { type Server, ServerCredentials } from '@grpc/grpc-js'
import { type FSWatcher, watch } from 'node:fs'
import { chmod, lstat, mkdir, rename, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { type Clock, sleep } from './clock.ts'
import type { Log } from './log.ts'
import { checkSocketPath, SocketError } from './socket-path.ts'

/** How many names are tried in turn for the socket before it is renamed. */
const mostAttempts = 1000

/** How many bytes the path of a server's socket must be shorter than Linux allows: `.` before its name, `.999` behind it. */
export const spareOfServer = 5

/** How often a predecessor's socket is looked at while it ends, in milliseconds; a socket gives no event when it is closed. */
const predecessorPause = 100

/**
 * Serves a gRPC server on a Unix socket that only root can reach, and keeps it reachable: it waits for a predecessor that still
 * answers on the path, and comes back when somebody removes the file.
 *
 * The socket is made under a hidden name and renamed, because closing a listener removes the name that it was made under, even
 * if another process has put its own socket there meanwhile.
 */
export class UnixServer {
  readonly path: string
  readonly #server: Server
  readonly #log: Log
  #inode = 0n
  /** The address of the listener, and how many have been tried: grpc-js takes each address once. */
  #address: string | undefined
  #attempts = 0
  #watcher: FSWatcher | undefined
  #binding: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(path: string, server: Server, log: Log) {
    this.path = path
    this.#server = server
    this.#log = log
  }

  /**
   * @param path - absolute
   * @throws {SocketError} where the path is too long or cannot be bound
   */
  static async listen(path: string, server: Server, clock: Clock, log: Log, signal: AbortSignal): Promise<UnixServer> {
    const unix = new UnixServer(path, server, log)
    checkSocketPath(path, spareOfServer)
    await mkdir(dirname(path), { recursive: true })
    for (let waited = false; await answers(path); waited = true) {
      if (!waited) log.info({ socket: path }, 'another process still serves the socket; waiting for it to end')
      await sleep(clock, predecessorPause, signal)
    }
    await unix.#bind()
    unix.#watch()
    return unix
  }

  /** Removes the socket, if it is still ours. Calls that are being answered go on. */
  async close(): Promise<void> {
    this.#closed = true
    this.#watcher?.close()
    await this.#binding
    if (await this.#isOurs()) await rm(this.path, { force: true })
  }

  async #bind(): Promise<void> {
    const hidden = hiddenPath(this.path, this.#attempts++ % mostAttempts)
    const address = `unix:${hidden}`
    await rm(hidden, { force: true })
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve()
        else reject(new SocketError(`cannot serve ${this.path}: ${error.message}`, { cause: error }))
      })
    })
    await chmod(hidden, 0o600)
    this.#inode = (await lstat(hidden, { bigint: true })).ino
    await rename(hidden, this.path)
    if (this.#address !== undefined) this.#server.unbind(this.#address)
    this.#address = address
  }

  /** A node may have no inotify instance left (fs.inotify.max_user_instances); that is no reason not to serve. */
  #watch(): void {
    const unwatched = (error: unknown): void =>
      this.#log.warn(
        { error, socket: this.path },
        'the socket cannot be watched; if somebody removes it, restart the driver',
      )
    try {
      this.#watcher = watch(dirname(this.path), { persistent: false }, (_event, name) => {
        if (name === null || name === basename(this.path)) this.#binding = this.#binding.then(() => this.#rebind())
      })
      this.#watcher.on('error', unwatched)
    } catch (error) {
      unwatched(error)
    }
  }

  async #isOurs(): Promise<boolean> {
    const found = await lstat(this.path, { bigint: true }).catch(() => undefined)
    return found?.ino === this.#inode
  }

  async #rebind(): Promise<void> {
    if (this.#closed) return
    const found = await lstat(this.path).catch(() => undefined)
    if (found !== undefined) return
    try {
      await this.#bind()
      this.#log.warn({ socket: this.path }, 'the socket had been removed; it is back')
    } catch (error) {
      this.#log.error({ error, socket: this.path }, 'the socket was removed and cannot be made again')
    }
  }
}

/** The name that a socket is made under, before it is renamed. */
function hiddenPath(path: string, attempt: number): string {
  return join(dirname(path), `.${basename(path)}.${attempt}`)
}

/** Whether a process accepts connections there. One whose queue of connections is full does, too. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'))
  })
}
