import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type DeleteFuse, fuseWindow } from './delete-fuse.ts'

export interface DeleteGateOptions {
  readonly fuse: DeleteFuse
  /** @see {@link import('./sync-options.ts').SyncOptions.confirmGone} */
  readonly confirmGone: (keys: readonly string[], signal: AbortSignal) => Promise<ReadonlySet<string>>
  /** Whether the key's object, too, has to be looked at: it is not where only surplus entries of it are deleted. */
  readonly needsLook: (key: string) => boolean
  /** How many entries there are. */
  readonly owned: () => number
  readonly onConfirmed: (keys: readonly string[]) => void
  /** @param error - why it cannot be told; undefined where the object still wants its entry */
  readonly onUnconfirmed: (key: string, error: unknown) => void
  readonly clock: Clock
  readonly log: Log
}

/** How many objects are looked at in one go. */
const mostAtOnce = 500

/** Objects whose entries are to be deleted, on their way through the fuse and a look at the object itself. */
export class DeleteGate {
  readonly #options: DeleteGateOptions
  readonly #waiting = new Set<string>()
  #looking: Promise<void> | undefined
  #timer: Timer | undefined
  #isHeld = false

  constructor(options: DeleteGateOptions) {
    this.#options = options
  }

  /** How many objects wait. */
  get size(): number {
    return this.#waiting.size
  }

  has(key: string): boolean {
    return this.#waiting.has(key)
  }

  add(key: string): void {
    this.#waiting.add(key)
  }

  /** The object has, or wants, an entry again. */
  remove(key: string): void {
    this.#waiting.delete(key)
  }

  /** Begins with what waits, if it may go. To be called when nothing comes before deletes any more. */
  consider(signal: AbortSignal): void {
    if (this.#looking !== undefined || signal.aborted) return
    const { fuse, owned } = this.#options
    const isAllowed = fuse.allows(this.#waiting.size, owned())
    this.#tellHeld(owned())
    if (this.#waiting.size === 0) return
    if (!isAllowed) {
      // Time alone may let them pass: those that were deleted lately count, too.
      this.#timer ??= this.#options.clock.timer(fuseWindow, () => {
        this.#timer = undefined
        this.consider(signal)
      })
      return
    }
    const keys = [...this.#waiting]
    this.#waiting.clear()
    this.#looking = this.#look(keys, signal).finally(() => {
      this.#looking = undefined
    })
  }

  /** Forgets everything, and resolves when no look at an object is under way. */
  async clear(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#waiting.clear()
    await this.#looking
  }

  /** Never rejects. */
  async #look(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const { confirmGone, needsLook, onConfirmed, onUnconfirmed } = this.#options
    for (let start = 0; start < keys.length && !signal.aborted; start += mostAtOnce) {
      const slice = keys.slice(start, start + mostAtOnce)
      const asked = slice.filter(needsLook)
      try {
        const gone = asked.length === 0 ? new Set<string>() : await confirmGone(asked, signal)
        if (signal.aborted) return
        const isStill = new Set(asked.filter((key) => !gone.has(key)))
        // What came back meanwhile is looked at again.
        onConfirmed(slice.filter((key) => !isStill.has(key) && !this.#waiting.has(key)))
        for (const key of isStill) onUnconfirmed(key, undefined)
      } catch (error) {
        if (signal.aborted) return
        for (const key of slice) onUnconfirmed(key, error)
      }
    }
  }

  #tellHeld(owned: number): void {
    const { fuse, log } = this.#options
    const held = fuse.held
    if (held !== undefined && !this.#isHeld) log.error({ deletes: held, owned }, heldText(held, owned))
    if (held === undefined && this.#isHeld) log.info({ owned }, 'deletes are no longer held back')
    this.#isHeld = held !== undefined
  }
}

/** What holds deletes back and what to do, for people. */
export function heldText(held: number, owned: number): string {
  return `${heldFact(held, owned)}. See what \`podpass registrar plan\` says; if it is right, start the registrar once with --confirm-deletes`
}

/** What holds deletes back, for people who look at them. */
export function heldFact(held: number, owned: number): string {
  return `${held} of ${owned} entries would be deleted at once, which is more than delete_fuse allows: they stay`
}
