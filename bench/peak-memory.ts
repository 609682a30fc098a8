import { memory } from './process-figures.ts'

/** How often memory is looked at, in milliseconds. */
const period = 100

/** Follows how much private memory a process has, at its most. */
export class PeakMemory {
  #peak = 0
  readonly #timer: NodeJS.Timeout

  constructor(pid: number) {
    const look = async (): Promise<void> => {
      this.#peak = Math.max(this.#peak, (await memory(pid)).private)
    }
    this.#timer = setInterval(() => {
      // The process may have ended.
      look().catch(() => {})
    }, period)
  }

  /** MiB so far. */
  get peak(): number {
    return this.#peak
  }

  close(): void {
    clearInterval(this.#timer)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
