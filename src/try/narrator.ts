import type { Writable } from 'node:stream'
import { line } from './layout.ts'
import { type Look, formatSpan, paint } from './look.ts'
import type { Note } from '../manifest/problem.ts'
import {
  renderGroupLeft,
  renderKept,
  renderKeys,
  renderLeft,
  renderMeeting,
  renderNotMet,
  renderNotRenewed,
  renderRead,
  renderRenewed,
  renderStarted,
  renderWaiting,
} from './render.ts'
import { renderProblems } from './render-problems.ts'
import { renderPublished, renderPublishedBriefly } from './render-volume.ts'
import { type Step, isGood } from './step.ts'

/** How many volumes are shown in full; of further ones, and of further replicas, one line each. */
const mostInFull = 3

/** Tells a play to a person, step by step. On a terminal the last line says what is being waited for. */
export class Narrator {
  readonly #output: Writable
  readonly #look: Look
  /** Whether the output is a terminal whose last line may change. */
  readonly #live: boolean
  /** Volumes that differ by more than the replica they belong to. */
  readonly #kinds = new Set<string>()
  #heading = ''
  #pending = false
  #waited = false
  #volumes = 0
  #brief = false
  #good = true

  constructor(output: Writable, look: Look, live: boolean) {
    this.#output = output
    this.#look = look
    this.#live = live
  }

  /** What is odd in what was given. */
  notes(notes: readonly Note[]): void {
    if (notes.length > 0) this.#print([...renderProblems(notes, this.#look, 'yellow'), ''])
  }

  tell(step: Step): void {
    if (!isGood(step)) this.#good = false
    this.#tell(step)
  }

  /** @param took - how long all of it took, in milliseconds */
  finish(took: number, interrupted: boolean): void {
    const [style, text] = !this.#good
      ? (['red', 'not everything is as it should be, see ✗ above'] as const)
      : interrupted
        ? (['yellow', 'interrupted, everything taken down'] as const)
        : (['green', 'everything is as it should be'] as const)
    this.#print(['', paint(this.#look, style, `Done in ${formatSpan(took)}: ${text}.`)])
  }

  #tell(step: Step): void {
    const look = this.#look
    switch (step.is) {
      case 'started':
        this.#volumes = step.volumes.length
        return this.#print(renderStarted(step, look))
      case 'group left':
        return this.#print(renderGroupLeft(step, look))
      case 'publishing':
        return this.#progress('the driver makes keys and asks for certificates', false)
      case 'published':
        return this.#published(step)
      case 'keys':
        return this.#print(step.volumes > 1 ? [...(this.#brief ? [] : ['']), ...renderKeys(step, look)] : [])
      case 'met':
        if (step.meeting.kind !== 'renewed peers') this.#section('Mutual TLS, with nothing but these files')
        return this.#print(renderMeeting(step.meeting, look))
      case 'not met':
        this.#section('Mutual TLS')
        return this.#print(renderNotMet(step, look))
      case 'waiting':
        this.#section('Renewal, while the files are read all the time')
        return this.#progress(renderWaiting(step, look), true)
      case 'renewed':
        return this.#print(renderRenewed(step.renewal, look))
      case 'not renewed':
        this.#section('Renewal')
        return this.#print(renderNotRenewed(step, look))
      case 'read':
        return this.#print(renderRead(step, look))
      case 'kept':
        this.#section('Still running')
        return this.#print(renderKept(step, look))
      case 'failed':
        this.#section('Failed')
        return this.#print(step.message.split('\n').flatMap((text) => line(look, false, text)))
      case 'left':
        this.#section('After the pods are gone')
        return this.#print(renderLeft(step, this.#volumes, look))
    }
  }

  #published(step: Extract<Step, { is: 'published' }>): void {
    const { pod, volume } = step.volume.planned
    const kind = `${pod.owner} ${volume.name}`
    const inFull = !this.#kinds.has(kind) && this.#kinds.size < mostInFull
    this.#kinds.add(kind)
    if (inFull) this.#print(['', ...renderPublished(step.volume, this.#look)])
    else this.#print([...(this.#brief ? [] : ['']), ...renderPublishedBriefly(step.volume, this.#look)])
    this.#brief = !inFull
  }

  #section(heading: string): void {
    if (this.#heading === heading) return
    this.#heading = heading
    this.#waited = false
    this.#print(['', paint(this.#look, 'bold', heading), ''])
  }

  #print(lines: readonly string[]): void {
    if (lines.length === 0) return
    const clear = this.#pending ? '\r\u001b[K' : ''
    this.#pending = false
    this.#output.write(`${clear}${lines.join('\n')}\n`)
  }

  /** Replaces the last line. Where that cannot be, only the first word about a long wait is printed. */
  #progress(text: string, isLong: boolean): void {
    const look = this.#look
    const shown = `  ${paint(look, 'dim', `… ${text}`.slice(0, look.width - 3))}`
    if (this.#live) {
      this.#output.write(`\r${shown}\u001b[K`)
      this.#pending = true
    } else if (isLong && !this.#waited) {
      this.#output.write(`${shown}\n`)
      this.#waited = true
    }
  }
}
