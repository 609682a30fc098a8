import { spawn } from 'node:child_process'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

/** Where a play runs, from the most like a node to the least. */
export const grounds = ['mount-namespace', 'user-namespace', 'private-folder'] as const

export type Ground = (typeof grounds)[number]

/** A ground, and the folder in which everything of one play lies. */
export interface PreparedGround {
  readonly ground: Ground
  readonly root: string
}

/** Under this name the outer process tells the one it starts that it stands on its ground already. */
const variable = 'PODPASS_TRY_GROUND'

/** What the name of a play's folder begins with. */
const prefix = 'podpass-try-'

/** The signals that end a play. */
const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A tmpfs over the folder, so that nothing touches a disk; shared, as the folders of a node are, within this namespace alone. */
const mountAndRun =
  'mount -t tmpfs -o mode=0700,size=16m,nosuid,nodev podpass-try "$0" && mount --make-rshared "$0" && exec "$@"'

const namespaceFlags: Readonly<Record<Exclude<Ground, 'private-folder'>, readonly string[]>> = {
  'mount-namespace': ['--mount', '--propagation', 'private'],
  'user-namespace': ['--user', '--map-root-user', '--mount', '--propagation', 'private'],
}

/**
 * The ground that this process was started on; undefined in the outer process. The variable alone says nothing, as the folder in
 * it will be removed: it must have the name of ours, and the process that made it must be there.
 */
export function currentGround(environment: NodeJS.ProcessEnv, hasOuter: boolean): PreparedGround | undefined {
  const [ground, root = ''] = (environment[variable] ?? '').split(':', 2)
  const known = grounds.find((name) => name === ground)
  return known !== undefined && hasOuter && basename(root).startsWith(prefix) ? { ground: known, root } : undefined
}

/** The command that runs `command` on a ground, and leaves no process of its own between. */
export function groundCommand({ ground, root }: PreparedGround, command: readonly string[]): string[] {
  if (ground === 'private-folder') return [...command]
  return ['unshare', ...namespaceFlags[ground], '--', 'sh', '-c', mountAndRun, root, ...command]
}

/**
 * Makes the folder for a play, and finds the best ground that this system allows, by trying: whether namespaces may be made is
 * up to the kernel, seccomp, AppArmor and the container that this runs in, and none of them can be asked.
 *
 * @param wanted - the grounds to choose from, best first
 */
export async function prepareGround(wanted: readonly Ground[]): Promise<PreparedGround> {
  for (const ground of wanted) {
    const folder = ground === 'private-folder' ? memoryFolder() : shortFolder()
    // As the kernel knows it: /proc/self/mountinfo has no symbolic links.
    const root = await realpath(await mkdtemp(join(folder, prefix)))
    if (ground === 'private-folder' || (await succeeds(groundCommand({ ground, root }, ['true']))))
      return { ground, root }
    await rm(root, { recursive: true, force: true })
  }
  throw new GroundError(`this system does not allow a ${wanted.join(' or a ').replaceAll('-', ' ')}`)
}

/** None of the grounds that were asked for can be had. */
export class GroundError extends Error {
  override readonly name = 'GroundError'
  readonly code = 'GROUND_REFUSED'
}

/** The grounds worth trying for this user. Root in a container without CAP_SYS_ADMIN may still have user namespaces. */
export function groundsFor(uid: number | undefined): readonly Ground[] {
  return uid === 0 ? grounds : grounds.slice(1)
}

/**
 * Runs `command` on the ground with this process's own input and output, hands signals on, and removes the folder at the end,
 * however the command ended.
 *
 * @returns the exit code, or the signal that ended the command
 */
export async function runOnGround(
  prepared: PreparedGround,
  command: readonly string[],
): Promise<number | NodeJS.Signals> {
  const [program = '', ...args] = groundCommand(prepared, command)
  const child = spawn(program, args, {
    // The channel closes when this process dies, however it dies: that is how the inner one learns of it.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [variable]: `${prepared.ground}:${prepared.root}` },
  })
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  for (const signal of endings) process.on(signal, forward)
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 1))
    })
  } finally {
    for (const signal of endings) process.off(signal, forward)
    await rm(prepared.root, { recursive: true, force: true })
  }
}

/** Removes the folder of a play from within, where the outer process is no longer there to do it. */
export async function abandonGround({ ground, root }: PreparedGround): Promise<void> {
  if (process.connected) return
  if (ground !== 'private-folder') await succeeds(['umount', '-l', root])
  await rm(root, { recursive: true, force: true })
}

/** Somebody ended the play before its time. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError'
  readonly code = 'INTERRUPTED'
  readonly signal: NodeJS.Signals

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`)
    this.signal = signal
  }
}

/**
 * Aborts at the first signal that ends a play, when the outer process has gone, or when nobody reads the output any more (as in
 * `podpass try pod.yaml | head`). Later ones change nothing: a Ctrl-C at a terminal reaches the inner and the outer process, and
 * the outer one hands it on.
 *
 * @returns aborts with an {@link InterruptedError}
 */
export function endingSignal(): AbortSignal {
  const ending = new AbortController()
  const end = (signal: NodeJS.Signals): void => ending.abort(new InterruptedError(signal))
  for (const signal of endings) process.on(signal, end)
  process.stdout.on('error', () => end('SIGPIPE'))
  process.once('disconnect', () => end('SIGTERM'))
  process.channel?.unref()
  return ending.signal
}

/** A socket's path holds 107 bytes at most (unix(7)), so a long TMPDIR is left alone. */
function shortFolder(): string {
  const folder = tmpdir()
  return Buffer.byteLength(folder) < 64 ? folder : '/tmp'
}

/** Without mounts the keys are files like any other: in memory, where the system has such a folder. */
function memoryFolder(): string {
  const candidates = [process.env['XDG_RUNTIME_DIR'], '/dev/shm']
  return candidates.find((folder) => folder !== undefined && isMemory(folder)) ?? shortFolder()
}

const tmpfsMagic = 0x01021994

function isMemory(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return statfsSync(folder).type === tmpfsMagic && Buffer.byteLength(folder) < 64
  } catch {
    return false
  }
}

function succeeds([program = '', ...args]: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore' })
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  })
}
