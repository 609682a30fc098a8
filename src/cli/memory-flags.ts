import { setFlagsFromString } from 'node:v8'

/** A young generation that stays at its first megabyte, and memory before speed where V8 has the choice. */
const sizeFlags = ['--semi-space-growth-factor=1', '--optimize-for-size']

/**
 * With these a driver under load takes a fraction of the memory, at the cost of calls a second that no kubelet makes: besides, there are no
 * optimizing compilers.
 */
const memoryFlags = ['--no-opt', '--no-maglev', ...sizeFlags]

/**
 * Sets V8 to save memory. To be called once all modules are loaded: V8 takes no code cache of other flags, and on the command line these
 * would have every built-in module of Node compiled anew, which doubles the time of a start. V8 reads each of them whenever it uses it.
 */
export function saveMemory(): void {
  for (const flag of memoryFlags) setFlagsFromString(flag)
}

/** Like {@link saveMemory}, for a process that has to keep up with a whole cluster: the compilers stay. */
export function saveMemoryAtFullSpeed(): void {
  for (const flag of sizeFlags) setFlagsFromString(flag)
}
