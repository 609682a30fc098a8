import { lstat, readFile, readdir, readlink, stat } from 'node:fs/promises'
import { createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import type { VolumeSpec } from '../volume/spec.ts'
import { mountAt, type MountEntry } from '../volume/mount-info.ts'
import { type Certificate, readCertificates } from '../x509/certificate.ts'
import { type ChainResult, verifyChain } from '../x509/chain.ts'
import { decodePrivateKey, keyMatches, keySpecOf, type KeySpec } from '../x509/key.ts'

/** One file as a container sees it. */
export interface FileView {
  /** Below the volume's root. */
  readonly path: string
  /** As `ls -l` prints it, such as `-r--r-----`. */
  readonly mode: string
  readonly uid: number
  readonly gid: number
  /** In bytes. */
  readonly size: number
  /** The file that a further name stands for. */
  readonly link: string | undefined
}

/** The mount that a container sees; options are the mount's own and those of its file system. */
export interface MountView {
  readonly type: string
  readonly options: readonly string[]
}

/** The texts of a volume's three files, read in one look. */
export interface Credentials {
  readonly certificate: string
  readonly privateKey: string
  readonly ca: string
}

/** What a pod finds at its mount path. */
export interface PodView {
  readonly mount: MountView | undefined
  readonly files: readonly FileView[]
  readonly leaf: Certificate
  readonly key: KeySpec | undefined
  readonly keyMatches: boolean
  readonly chain: ChainResult
  readonly credentials: Credentials
}

/** The link that all files of a volume lie behind. */
const current = '..data'

/**
 * Looks at a volume as a container that mounts it would.
 *
 * @param mounts - of this process's namespace
 * @param now - epoch milliseconds, for the chain
 */
export async function viewVolume(
  target: string,
  spec: VolumeSpec,
  mounts: readonly MountEntry[],
  now: number,
): Promise<PodView> {
  const credentials = await readCredentials(target, spec)
  const [leaf, ...intermediates] = readCertificates(credentials.certificate)
  if (leaf === undefined) throw new Error(`${spec.files.certificate} holds no certificate`)
  const roots = credentials.ca === '' ? [] : readCertificates(credentials.ca)
  return {
    mount: viewMount(mountAt(mounts, target)),
    files: await listFiles(target),
    leaf,
    key: keySpecOf(createPublicKey({ key: Buffer.from(leaf.publicKey), format: 'der', type: 'spki' })),
    keyMatches: keyMatches(decodePrivateKey(credentials.privateKey), leaf),
    chain: verifyChain(leaf, intermediates, roots, now),
    credentials,
  }
}

/** Reads the files of one generation: `..data` is looked at once, so that none of them can come from another. */
export async function readCredentials(target: string, spec: VolumeSpec): Promise<Credentials> {
  const folder = join(target, await readlink(join(target, current)))
  const read = (path: string): Promise<string> => readFile(join(folder, path), 'utf8')
  const { files } = spec
  const [certificate, privateKey, ca] = await Promise.all([
    read(files.certificate),
    read(files.privateKey),
    read(files.ca),
  ])
  return { certificate, privateKey, ca }
}

/** Every name that a container can open, in alphabetical order. */
export async function listFiles(target: string): Promise<FileView[]> {
  const found: FileView[] = []
  const walk = async (below: string): Promise<void> => {
    for (const name of (await readdir(join(target, below))).sort()) {
      if (below === '' && name.startsWith('..')) continue
      const path = join(below, name)
      const seen = await stat(join(target, path))
      if (seen.isDirectory()) await walk(path)
      else
        found.push({
          path,
          mode: formatMode(seen.mode),
          uid: seen.uid,
          gid: seen.gid,
          size: seen.size,
          link: await linkOf(target, path),
        })
    }
  }
  await walk('')
  return found
}

/** The permission bits of a regular file as `ls -l` prints them. */
export function formatMode(mode: number): string {
  const letters = 'rwxrwxrwx'
  return `-${Array.from(letters, (letter, index) => ((mode >> (8 - index)) & 1 ? letter : '-')).join('')}`
}

/** Every visible name leads through `..data`; behind it only further names of a file are links. */
async function linkOf(target: string, path: string): Promise<string | undefined> {
  const behind = join(target, current, path)
  const found = await lstat(behind)
  return found.isSymbolicLink() ? readlink(behind) : undefined
}

function viewMount(entry: MountEntry | undefined): MountView | undefined {
  if (entry === undefined) return undefined
  return {
    type: entry.type,
    options: [...new Set([...entry.options, ...entry.superOptions.filter((option) => option !== 'rw')])],
  }
}
