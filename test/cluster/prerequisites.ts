import { access, constants, stat } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** Something that the cluster tests need is not on this machine. */
export class PrerequisiteMissingError extends Error {
  override readonly name = 'PrerequisiteMissingError'
  readonly code = 'PREREQUISITE_MISSING'
}

/** Programs, each with the Debian package that has it. */
const programs: ReadonlyMap<string, string> = new Map([
  ['containerd', 'containerd'],
  ['ctr', 'containerd'],
  ['runc', 'runc'],
  ['busybox', 'busybox-static'],
  ['openssl', 'openssl'],
  ['tar', 'tar'],
  ['nsenter', 'util-linux'],
  ['setpriv', 'util-linux'],
  ['unshare', 'util-linux'],
])

/** Where Debian's package and where the plugins' own releases put them. */
const pluginDirectories = ['/usr/lib/cni', '/opt/cni/bin']
const plugins = ['host-local', 'loopback', 'ptp']

/** What a node needs of its machine. */
export interface Prerequisites {
  /** The directory of the CNI plugins. */
  readonly pluginDirectory: string
}

/**
 * Looks for everything that a node needs of this machine, so that what is missing is said at once and all together.
 *
 * @throws {PrerequisiteMissingError} naming what to do
 */
export async function checkPrerequisites(): Promise<Prerequisites> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new PrerequisiteMissingError('The cluster tests start a kubelet and containers, so they need Linux and root.')
  }
  const missing = new Set<string>()
  for (const [program, debianPackage] of programs) {
    if (!(await findProgram(program))) missing.add(debianPackage)
  }
  const pluginDirectory = await findPlugins()
  if (!pluginDirectory) missing.add('containernetworking-plugins')
  if (!pluginDirectory || missing.size > 0) {
    throw new PrerequisiteMissingError(
      `The cluster tests need more of this machine. On Debian: apt-get install -y ${[...missing].join(' ')}`,
    )
  }
  return { pluginDirectory }
}

/** The path of a program, as a shell would find it; undefined where there is none. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(directory, name)
    if (directory !== '' && (await isExecutable(path))) return path
  }
  return undefined
}

async function findPlugins(): Promise<string | undefined> {
  for (const directory of pluginDirectories) {
    const found = await Promise.all(plugins.map((plugin) => isExecutable(join(directory, plugin))))
    if (found.every(Boolean)) return directory
  }
  return undefined
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
