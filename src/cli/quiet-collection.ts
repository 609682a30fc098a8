import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** How long V8 may have collected nothing before the work counts as done, in milliseconds. */
const quietTime = 1500
/** How much more than after the last time is worth collecting, in bytes: to collect takes some 50 ms of a core, and single volumes make less. */
const worthwhile = 4 * 1024 * 1024

type Collect = (options: { readonly type: 'major'; readonly execution: 'sync'; readonly flavor: 'last-resort' }) => void

/**
 * Gives memory back to the system once work has come to rest. By itself V8 collects only where memory is asked for, and keeps what is free
 * for then: what a burst has made would stay for as long as a node rests, which is most of its life.
 *
 * Nothing is looked at meanwhile: V8 tells of its small collections, by which work is noticed.
 */
export function collectWhenQuiet(): void {
  // V8 has its function in contexts that are made while the flag stands.
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  setFlagsFromString('--no-expose-gc')
  let kept = 0
  const rest = setTimeout(() => {
    if (getHeapStatistics().total_heap_size - kept < worthwhile) return
    // Of its kinds the only one that gives pages back.
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    kept = getHeapStatistics().total_heap_size
  }, quietTime).unref()
  new PerformanceObserver(() => rest.refresh()).observe({ entryTypes: ['gc'] })
}
