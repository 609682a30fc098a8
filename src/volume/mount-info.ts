import { readFile } from 'node:fs/promises'

/** One line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export interface MountEntry {
  /** `major:minor` of the file system. */
  readonly device: string
  /** The path within the file system that is the mount's root. */
  readonly root: string
  readonly mountPoint: string
  readonly options: readonly string[]
  /** Whether mounts below it reach other mount namespaces (`shared:N`). */
  readonly shared: boolean
  readonly type: string
  readonly superOptions: readonly string[]
}

/** Undoes the octal escapes, of space, tab, newline and backslash. They stand for bytes of UTF-8. */
function unescapePath(field: string): string {
  if (!field.includes('\\')) return field
  return field.replaceAll(/(?:\\[0-7]{3})+/g, (escapes) =>
    Buffer.from(
      escapes
        .slice(1)
        .split('\\')
        .map((octal) => Number.parseInt(octal, 8)),
    ).toString(),
  )
}

/**
 * Reads the text of a mountinfo file; lines that do not have its form are passed over.
 *
 * @param concerns - whether a mount at this point is asked for. A node has a line for each volume, and few of them are worth reading
 */
export function parseMountInfo(text: string, concerns: (mountPoint: string) => boolean = () => true): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of text.split('\n')) {
    const [, , device, root, mountPoint] = line.split(' ', 5)
    if (device === undefined || root === undefined || mountPoint === undefined) continue
    const path = unescapePath(mountPoint)
    if (concerns(path)) entries.push(...readLine(line, path))
  }
  return entries
}

function readLine(line: string, mountPoint: string): [] | [MountEntry] {
  const separator = line.indexOf(' - ')
  if (separator < 0) return []
  const [, , device, root, , options, ...optional] = line.slice(0, separator).split(' ')
  const [type, , superOptions] = line.slice(separator + 3).split(' ')
  if (device === undefined || root === undefined || options === undefined) return []
  return [
    {
      device,
      root: unescapePath(root),
      mountPoint,
      options: options.split(','),
      shared: optional.some((field) => field.startsWith('shared:')),
      type: type ?? '',
      superOptions: (superOptions ?? '').split(','),
    },
  ]
}

/**
 * The mounts of this process's namespace, in the order in which they were made: the last one at a path is the one seen.
 *
 * @param concerns - as of {@link parseMountInfo}
 */
export async function readMountInfo(concerns?: (mountPoint: string) => boolean): Promise<MountEntry[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'), concerns)
}

/** The mount seen at exactly `path`. */
export function mountAt(entries: readonly MountEntry[], path: string): MountEntry | undefined {
  return entries.findLast((entry) => entry.mountPoint === path)
}

/** The mount that `path` lies in: the one with the longest mount point above it. */
export function mountOf(entries: readonly MountEntry[], path: string): MountEntry | undefined {
  let found: MountEntry | undefined
  for (const entry of entries) {
    if (!liesIn(path, entry.mountPoint)) continue
    if (found === undefined || entry.mountPoint.length >= found.mountPoint.length) found = entry
  }
  return found
}

/** Whether `path` is, or is below, a mount point. */
export function liesIn(path: string, mountPoint: string): boolean {
  return (
    path.startsWith(mountPoint) &&
    (path.length === mountPoint.length || mountPoint === '/' || path[mountPoint.length] === '/')
  )
}
