import { createHash } from 'node:crypto'
import { access, cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { Claim } from '../claim.ts'
import { run } from '../command.ts'
import { findProgram, PrerequisiteMissingError } from '../prerequisites.ts'

/** A program of somebody else's that the cluster tests run, built from published Go modules. */
export interface Component {
  readonly name: string
  /** The version of what it is built from, without a `v`. */
  readonly version: string
  /** Holds its recipe and our own Go files for it. What is in it decides whether a cached build still fits. */
  readonly directory: string
  /** Part of it is C, so a C compiler builds it and it is linked to this machine's C library. */
  readonly needsC?: true
  build(workplace: Workplace): Promise<void>
}

/** Where a component's recipe works. */
export interface Workplace {
  /** Becomes the component's directory. */
  readonly outputDirectory: string
  /** Where the go command runs. */
  readonly workDirectory: string
  /**
   * Runs the go command in a directory that holds the component's Go files and nothing else.
   *
   * @returns its standard output
   */
  readonly go: (...args: readonly string[]) => Promise<string>
}

/** How often a long build says that it is still at work, in milliseconds. */
const progressInterval = 20_000

/**
 * Builds a component once for a machine's user: the next call, of this run or another, finds it in the cache, which is
 * `podpass/cluster` below `$XDG_CACHE_HOME` or `~/.cache`.
 *
 * @param say - takes a line about what takes long
 * @returns the directory with its files
 * @throws {PrerequisiteMissingError} where there is something to build and no Go
 */
export async function buildComponent(component: Component, say: (line: string) => void): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'podpass', 'cluster')
  const directory = join(cache, `${component.name}-${component.version}-${await fingerprint(component.directory)}`)
  if (await exists(directory)) return directory

  await mkdir(cache, { recursive: true })
  const claim = await Claim.wait(`build/${basename(directory)}`, () =>
    say(`waiting for another run, which builds ${component.name} ${component.version}`),
  )
  try {
    if (!(await exists(directory))) await build(component, directory, say)
  } finally {
    await claim.close()
  }
  return directory
}

async function build(component: Component, directory: string, say: (line: string) => void): Promise<void> {
  const title = `${component.name} ${component.version}`
  if (!(await findProgram('go'))) {
    throw new PrerequisiteMissingError(
      `${title} is built from Go modules, and there is no go command here. Install Go 1.26 or newer, from https://go.dev/dl or your distribution.`,
    )
  }
  if (component.needsC && !(await findProgram('gcc'))) {
    throw new PrerequisiteMissingError(
      `Part of ${title} is C, and there is no gcc here. On Debian: apt-get install -y gcc libc6-dev`,
    )
  }
  const started = performance.now()
  const elapsed = (): string => `${Math.round((performance.now() - started) / 1000)} s`
  let step = ''
  say(`building ${title} from Go modules, once; with empty caches this takes minutes`)
  const progress = setInterval(() => say(`building ${title}: ${step} (${elapsed()})`), progressInterval)
  await removeUnfinished(directory)
  // Beside its last place, so that it gets there by a rename: a cached component is complete or absent.
  const temporary = await mkdtemp(`${directory}.`)
  try {
    const workDirectory = join(temporary, 'work')
    const outputDirectory = join(temporary, 'output')
    const goDirectory = join(temporary, 'go')
    for (const made of [workDirectory, outputDirectory, goDirectory]) await mkdir(made)
    for (const file of await readdir(component.directory)) {
      if (file.endsWith('.go')) await cp(join(component.directory, file), join(workDirectory, file))
    }
    await component.build({
      outputDirectory,
      workDirectory,
      go: (...args) => {
        step = `go ${args.slice(0, args[0] === 'mod' ? 2 : 1).join(' ')}`
        // A go.work or a repository further up, such as one of the home directory, is none of ours.
        const env = {
          CGO_ENABLED: component.needsC ? '1' : '0',
          GOWORK: 'off',
          GOFLAGS: '-buildvcs=false',
          GOTMPDIR: goDirectory,
        }
        return run('go', args, { cwd: workDirectory, env })
      },
    })
    await rename(outputDirectory, directory)
    say(`built ${title} in ${elapsed()}`)
  } finally {
    clearInterval(progress)
    await rm(temporary, { recursive: true, force: true })
  }
}

/** What builds of this component left that were killed. Only for the one that holds the right to build it. */
async function removeUnfinished(directory: string): Promise<void> {
  const cache = dirname(directory)
  for (const name of await readdir(cache)) {
    if (name.startsWith(`${basename(directory)}.`)) await rm(join(cache, name), { recursive: true, force: true })
  }
}

/** Twelve digits that change with the files of a directory. */
async function fingerprint(directory: string): Promise<string> {
  const hash = createHash('sha256')
  for (const file of (await readdir(directory)).sort()) {
    hash
      .update(file)
      .update('\0')
      .update(await readFile(join(directory, file)))
      .update('\0')
  }
  return hash.digest('hex').slice(0, 12)
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
