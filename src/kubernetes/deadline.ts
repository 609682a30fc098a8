import type { Clock, Timer } from '../runtime/clock.ts'

/** The reason of a signal whose time ran out. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded'
}

/** A signal that aborts with its parent, or when its time is up. */
export interface Deadline {
  readonly signal: AbortSignal
  /** Milliseconds that are left. */
  remaining(): number
  /** Sets the time anew. @param timeout - milliseconds from now; undefined for no limit but the parent's */
  restart(timeout: number | undefined): void
  /** Lets go of timer and parent. Call it always. */
  clear(): void
}

/**
 * @param timeout - milliseconds; the signal's reason is a {@link DeadlineExceeded} then
 * @param parent - aborts the deadline with its own reason
 */
export function startDeadline(clock: Clock, timeout: number, parent: AbortSignal | undefined): Deadline {
  const controller = new AbortController()
  const onParent = (): void => controller.abort(parent?.reason)
  let end = Number.POSITIVE_INFINITY
  let timer: Timer | undefined
  const restart = (timeout: number | undefined): void => {
    timer?.cancel()
    end = timeout === undefined ? Number.POSITIVE_INFINITY : clock.now() + timeout
    if (timeout === undefined) return
    timer = clock.timer(timeout, () => controller.abort(new DeadlineExceeded(`no answer within ${timeout / 1000} s`)))
  }
  restart(timeout)
  if (parent?.aborted) onParent()
  else parent?.addEventListener('abort', onParent, { once: true })
  return {
    signal: controller.signal,
    remaining: () => end - clock.now(),
    restart,
    clear() {
      timer?.cancel()
      parent?.removeEventListener('abort', onParent)
    },
  }
}
