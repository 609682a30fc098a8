import type { Log } from './log.ts'

/** A signal that is aborted once the process is asked to end: SIGTERM by the kubelet, SIGINT by a person. */
export function stopSignal(log: Log): AbortSignal {
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'stopping')
      stopping.abort(new Error(`stopped by ${signal}`))
    })
  }
  return stopping.signal
}
