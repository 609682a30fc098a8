import { readdir, readFile } from 'node:fs/promises'

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

export async function memory(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
  return { private: field('RssAnon'), resident: field('VmRSS') }
}

/** How many files and sockets a process has open. */
export async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}
