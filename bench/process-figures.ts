import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** Memory of a process, in MiB. */
export interface Memory {
  /** What it shares with no file: RssAnon. */
  readonly private: number
  /** Everything that is resident: VmRSS, most of it the text of node, in the page cache once for all. */
  readonly resident: number
}

/**
 * CPU time that the threads of a process have used so far, in seconds. Counted by the scheduler in nanoseconds, where
 * /proc/PID/stat has steps of ten milliseconds.
 */
export async function cpuTime(pid: number): Promise<number> {
  const tasks = `/proc/${pid}/task`
  const counts = (await readdir(tasks)).map(async (task) => {
    // A thread may end meanwhile.
    const [running = '0'] = (await readFile(`${tasks}/${task}/schedstat`, 'utf8').catch(() => '')).split(' ')
    return Number(running) / 1e9
  })
  return (await Promise.all(counts)).reduce((sum, seconds) => sum + seconds, 0)
}

/** CPU time in which a process that rests stays within a tenth of a second, in seconds. */
const restingTime = 0.002

/** How long a driver rests at most before it fills its key pool again, in tenths of a second. */
export const poolPause = 12

/**
 * Resolves once a process has nothing more to do; at the latest after thirty seconds.
 *
 * @param enough - for how many tenths of a second it must have done nothing
 */
export async function untilQuiet(pid: number, enough = 3): Promise<void> {
  let [before, still] = [await cpuTime(pid), 0]
  for (let looks = 0; looks < 300 && still < enough; looks++) {
    await delay(100)
    const now = await cpuTime(pid)
    still = now - before < restingTime ? still + 1 : 0
    before = now
  }
}

export async function memory(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
  return { private: field('RssAnon'), resident: field('VmRSS') }
}

/** How many files and sockets a process has open. */
export async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}
