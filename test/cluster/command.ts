import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** A command that ended with anything but exit code 0. */
export class CommandFailedError extends Error {
  override readonly name = 'CommandFailedError'
  readonly code = 'COMMAND_FAILED'
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string

  constructor(command: string, exitCode: number | null, stdout: string, stderr: string, cause?: unknown) {
    const said = stderr.trim() || stdout.trim()
    super(`${command} ${exitCode === null ? 'did not finish' : `ended with ${exitCode}`}${said ? `: ${said}` : ''}`, {
      cause,
    })
    this.exitCode = exitCode
    this.stdout = stdout
    this.stderr = stderr
  }
}

export interface RunOptions {
  /** Written to its standard input, which is empty otherwise. */
  readonly input?: string
  readonly cwd?: string
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/**
 * Runs a command to its end. It does not outlive this process: the kernel interrupts it then (prctl(2) PR_SET_PDEATHSIG).
 *
 * @returns what it wrote to standard output
 * @throws {CommandFailedError} where it cannot be started or ends with anything but 0
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const child = spawn('setpriv', ['--pdeathsig', 'INT', '--', command, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    ...(options.signal && { signal: options.signal }),
  })
  const shown = [command, ...args].join(' ')
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  // A command that ends without reading all its input breaks the pipe; its exit code tells the story.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const [stdout, stderr, exitCode] = await Promise.all([text(child.stdout), text(child.stderr), ended]).catch(
    (error: unknown) => {
      throw new CommandFailedError(shown, null, '', error instanceof Error ? error.message : String(error), error)
    },
  )
  if (exitCode !== 0) throw new CommandFailedError(shown, exitCode, stdout, stderr)
  return stdout
}
