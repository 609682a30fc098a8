import { readdir, readFile } from 'node:fs/promises'

/** The kernel counts CPU time in these, whatever its own clock (proc_pid_stat(5), USER_HZ). */
const ticksPerSecond = 100

/** Memory of a process, in MiB. */
export interface Memory {
  /** What it shares with no file: RssAnon. */
  readonly private: number
  /** Everything that is resident: VmRSS, most of it the text of node, in the page cache once for all. */
  readonly resident: number
}

/** CPU time that all threads of a process have used so far, in seconds. */
export async function cpuTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The second field is a program's name in parentheses and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
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
