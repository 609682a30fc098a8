import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release } from 'node:os'

/** What the figures of a run depend on. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly kernel: string
  readonly node: string
  /** Of podpass, from package.json. */
  readonly version: string
  /** The one-minute load average before the run began: above some tenths, others were at work. */
  readonly load: number
}

export async function describeMachine(): Promise<Machine> {
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string
  }
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    kernel: release(),
    node: process.version,
    version: manifest.version,
    load: loadavg()[0] ?? Number.NaN,
  }
}
