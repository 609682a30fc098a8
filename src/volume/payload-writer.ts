import { chmod, chown, lstat, mkdir, open, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Payload } from './payload.ts'

/** The link that every visible name leads through. Replacing it is what changes all files at once. */
const current = '..data'
const next = '..data_next'
/** Where a visible name is made before it is put in place. */
const freshLink = '..link_next'

const directoryMode = 0o550
const fileMode = 0o440

/**
 * Writes a payload so that no reader ever sees files of two generations through one look at `..data`: a new folder is filled, then
 * one rename moves `..data` to it (as kubelet's AtomicWriter does). A crash at any point leaves the old generation, or the new.
 *
 * @param root - the folder that the pod sees
 * @param group - who may read the files beside root
 */
export async function writePayload(root: string, payload: Payload, group: number | undefined): Promise<void> {
  await mkdir(root, { mode: directoryMode, recursive: true })
  await chmod(root, writable(directoryMode))
  const old = await readlink(join(root, current)).catch(() => undefined)
  const generation = nextGeneration(old)
  const folder = join(root, generation)
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder)
  for (const [path, content] of payload.files) {
    await makeParents(folder, path, group)
    await writeWhole(join(folder, path), content, group)
  }
  for (const [link, path] of payload.links) await symlink(path, join(folder, link))
  await protect(folder, group)
  await rm(join(root, next), { force: true })
  await symlink(generation, join(root, next))
  await rename(join(root, next), join(root, current))
  await linkNames(root, payload)
  await sweep(root, payload, generation)
  await protect(root, group)
}

/** Whether every file of a payload is there, whole, and reached through its visible name. */
export async function isComplete(root: string, files: Iterable<string>): Promise<boolean> {
  for (const path of files) {
    const found = await readFile(join(root, path)).catch(() => undefined)
    if (found === undefined) return false
  }
  return true
}

/** Without root's right to pass over modes (a quick start as an ordinary user), the owner must be allowed to write. */
function writable(mode: number): number {
  return process.geteuid?.() === 0 ? mode : mode | 0o200
}

function nextGeneration(old: string | undefined): string {
  const number = /^\.\.(\d+)$/.exec(old ?? '')?.[1]
  return `..${Number(number ?? 0) + 1}`
}

async function protect(directory: string, group: number | undefined): Promise<void> {
  if (group !== undefined) await chown(directory, -1, group)
  await chmod(directory, writable(directoryMode))
}

async function makeParents(folder: string, path: string, group: number | undefined): Promise<void> {
  const parents = path.split('/').slice(0, -1)
  let made = folder
  for (const part of parents) {
    made = join(made, part)
    await mkdir(made).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    await protect(made, group)
  }
}

async function writeWhole(path: string, content: string | Uint8Array, group: number | undefined): Promise<void> {
  const file = await open(path, 'wx', 0o400)
  try {
    await file.writeFile(content)
    if (group !== undefined) await file.chown(-1, group)
    await file.chmod(fileMode)
  } finally {
    await file.close()
  }
}

/** The first parts of all names: what stands in the root, as links through `..data`. */
function visibleNames(payload: Payload): Set<string> {
  const paths = [...payload.files.keys(), ...payload.links.keys()]
  return new Set(paths.map((path) => path.split('/')[0] ?? path))
}

async function linkNames(root: string, payload: Payload): Promise<void> {
  for (const name of visibleNames(payload)) {
    const wanted = join(current, name)
    const path = join(root, name)
    if ((await readlink(path).catch(() => undefined)) === wanted) continue
    const fresh = join(root, freshLink)
    await rm(fresh, { force: true })
    await symlink(wanted, fresh)
    await rename(fresh, path)
  }
}

/**
 * Removes what neither this generation nor its names need: older generations, what a crash left, names no longer used. They are
 * not overwritten: who has opened an old file reads it to its end.
 */
async function sweep(root: string, payload: Payload, generation: string): Promise<void> {
  const names = visibleNames(payload)
  for (const entry of await readdir(root)) {
    if (entry === current || entry === generation || names.has(entry)) continue
    await rm(join(root, entry), { recursive: true, force: true })
  }
}

/**
 * Overwrites what is below a path, then removes it: a mount of it in another namespace is left with nothing to read.
 * Symbolic links are removed, never followed.
 */
export async function wipe(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined) return
  if (found.isDirectory()) {
    await chmod(path, 0o700)
    for (const entry of await readdir(path)) await wipe(join(path, entry))
  } else if (found.isFile()) {
    await chmod(path, 0o600)
    const file = await open(path, 'r+')
    try {
      await file.write(Buffer.alloc(found.size))
      await file.truncate(0)
    } finally {
      await file.close()
    }
  }
  await rm(path, { recursive: true, force: true })
}

/** Replaces a file's content at once: written beside it, then renamed over it. The parent folder must exist. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const fresh = join(dirname(path), `.${basename(path)}.new`)
  await rm(fresh, { force: true })
  const file = await open(fresh, 'wx', 0o600)
  try {
    await file.writeFile(content)
  } finally {
    await file.close()
  }
  await rename(fresh, path)
}
