import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** What a worker can be asked to do. Arguments and results are JSON. */
export type Methods = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>

interface Call {
  readonly id: number
  readonly method: string
  readonly args: readonly never[]
}

type Answer = { readonly id: number } & ({ readonly value: unknown } | { readonly error: string })

/** What a worker could not do, or a worker that ended. */
export class WorkerError extends Error {
  override readonly name = 'WorkerError'
  readonly code = 'WORKER_FAILED'
}

/**
 * A part of the benchmark in a process of its own, so that its CPU time is not the driver's and its pauses are not another part's. It
 * never outlives this process.
 */
export class Worker<Table extends Methods> {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>()
  #calledSoFar = 0

  private constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.#child = child
    child.on('message', (answer: Answer) => {
      const call = this.#calls.get(answer.id)
      this.#calls.delete(answer.id)
      if ('error' in answer) call?.reject(new WorkerError(`${name}: ${answer.error}`))
      else call?.resolve(answer.value)
    })
    child.on('exit', () => {
      for (const call of this.#calls.values()) call.reject(new WorkerError(`${name} ended`))
      this.#calls.clear()
    })
  }

  /**
   * @param file - of this folder; it calls {@link serve}
   * @param within - what stands before a command so that it runs somewhere else
   */
  static async start<Table extends Methods>(file: string, within: readonly string[] = []): Promise<Worker<Table>> {
    const program = [...within, process.execPath, join(import.meta.dirname, file)]
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Out of reach of the terminal's Ctrl-C: whoever started it ends it.
      detached: true,
    })
    await once(child, 'spawn')
    return new Worker(file, child)
  }

  /** @throws {WorkerError} */
  call<Name extends keyof Table & string>(
    method: Name,
    ...args: Parameters<Table[Name]>
  ): Promise<Awaited<ReturnType<Table[Name]>>> {
    const call = Promise.withResolvers<unknown>()
    const id = this.#calledSoFar++
    this.#calls.set(id, call)
    if (!this.#child.connected) call.reject(new WorkerError(`${this.#name} has ended`))
    else this.#child.send({ id, method, args } satisfies Call)
    return call.promise as Promise<Awaited<ReturnType<Table[Name]>>>
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

/** The other side of {@link Worker}: answers the process that started this one. */
export function serve(methods: Methods): void {
  process.on('message', ({ id, method, args }: Call) => {
    const answer = (outcome: { readonly value: unknown } | { readonly error: string }): void => {
      process.send?.({ id, ...outcome })
    }
    Promise.try(async () => methods[method]?.(...args)).then(
      (value) => answer({ value }),
      (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
    )
  })
}
