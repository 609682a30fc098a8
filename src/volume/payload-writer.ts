import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import type { Payload } from './payload.ts'

// Every call below is synchronous. The files are in a volume's own tmpfs, so a call is a few microseconds in the kernel and waits for no
// disk, where a trip to Node's threads and back costs ten times that, and a publish makes some seventy calls (docs/adr/0006-speed.md). Paths are put together
// as they are: what path.join looks for in them, letter by letter, is not there.

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
 * @param root - the folder that the pod sees. It is not made here: where it is gone, so is the memory that it was in, and what would
 *   be written instead is the disk
 * @param group - who may read the files beside root
 */
export async function writePayload(root: string, payload: Payload, group: number | undefined): Promise<void> {
  chmodSync(root, writable(directoryMode))
  const generation = nextGeneration(leadsTo(`${root}/${current}`))
  const folder = `${root}/${generation}`
  if (lstatSync(folder, { throwIfNoEntry: false }) !== undefined) rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const [path, content] of payload.files) {
    makeParents(folder, path, group)
    writeWhole(`${folder}/${path}`, content, group)
  }
  for (const [link, path] of payload.links) symlinkSync(path, `${folder}/${link}`)
  protect(folder, group)
  replaceLink(`${root}/${current}`, generation, `${root}/${next}`)
  const names = visibleNames(payload)
  for (const name of names) {
    const wanted = `${current}/${name}`
    if (leadsTo(`${root}/${name}`) !== wanted) replaceLink(`${root}/${name}`, wanted, `${root}/${freshLink}`)
  }
  sweep(root, names, generation)
  protect(root, group)
}

/** Whether every file of a payload is there and reached through its visible name. */
export async function isComplete(root: string, files: Iterable<string>): Promise<boolean> {
  return [...files].every((path) => statSync(`${root}/${path}`, { throwIfNoEntry: false })?.isFile() === true)
}

/** Without root's right to pass over modes (a quick start as an ordinary user), the owner must be allowed to write. */
function writable(mode: number): number {
  return process.geteuid?.() === 0 ? mode : mode | 0o200
}

function nextGeneration(old: string | undefined): string {
  const number = /^\.\.(\d+)$/.exec(old ?? '')?.[1]
  return `..${Number(number ?? 0) + 1}`
}

/** What a symbolic link leads to; undefined where there is none. */
function leadsTo(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? readlinkSync(path) : undefined
}

/** Removes a file or link. Looks first: it is hardly ever there, and an error, as well as rm of node:fs, costs more than the look. */
export function removeIfThere(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) unlinkSync(path)
}

/** Makes a link at once in the place of whatever link or file is there. @param fresh - where it is made first */
function replaceLink(path: string, to: string, fresh: string): void {
  removeIfThere(fresh)
  symlinkSync(to, fresh)
  renameSync(fresh, path)
}

function protect(directory: string, group: number | undefined): void {
  if (group !== undefined) chownSync(directory, -1, group)
  chmodSync(directory, writable(directoryMode))
}

function makeParents(folder: string, path: string, group: number | undefined): void {
  const parents = path.split('/').slice(0, -1)
  let made = folder
  for (const part of parents) {
    made = `${made}/${part}`
    if (existsSync(made)) continue
    mkdirSync(made)
    protect(made, group)
  }
}

function writeWhole(path: string, content: string | Uint8Array, group: number | undefined): void {
  const file = openSync(path, 'wx', 0o400)
  try {
    writeFileSync(file, content)
    if (group !== undefined) fchownSync(file, -1, group)
    fchmodSync(file, fileMode)
  } finally {
    closeSync(file)
  }
}

/** The first parts of all names: what stands in the root, as links through `..data`. */
function visibleNames(payload: Payload): Set<string> {
  const paths = [...payload.files.keys(), ...payload.links.keys()]
  return new Set(paths.map((path) => path.split('/')[0] ?? path))
}

/**
 * Removes what neither this generation nor its names need: older generations, what a crash left, names no longer used. They are
 * not overwritten: who has opened an old file reads it to its end.
 */
function sweep(root: string, names: ReadonlySet<string>, generation: string): void {
  for (const entry of readdirSync(root)) {
    if (entry === current || entry === generation || names.has(entry)) continue
    rmSync(`${root}/${entry}`, { recursive: true, force: true })
  }
}

/**
 * Overwrites what is below a path, then removes it: a mount of it in another namespace is left with nothing to read.
 * Symbolic links are removed, never followed. A folder on which something is mounted stays, empty.
 */
export async function wipe(path: string): Promise<void> {
  wipeNow(path)
}

function wipeNow(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (found.isDirectory()) {
    chmodSync(path, 0o700)
    for (const entry of readdirSync(path)) wipeNow(`${path}/${entry}`)
    try {
      rmdirSync(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
    }
    return
  }
  if (found.isFile()) {
    chmodSync(path, 0o600)
    const file = openSync(path, 'r+')
    try {
      writeSync(file, Buffer.alloc(found.size))
      ftruncateSync(file)
    } finally {
      closeSync(file)
    }
  }
  unlinkSync(path)
}

/** Replaces a file's content at once: written beside it, then renamed over it. The parent folder must exist. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const name = path.lastIndexOf('/') + 1
  const fresh = `${path.slice(0, name)}.${path.slice(name)}.new`
  removeIfThere(fresh)
  const file = openSync(fresh, 'wx', 0o600)
  try {
    writeFileSync(file, content)
  } finally {
    closeSync(file)
  }
  renameSync(fresh, path)
}
