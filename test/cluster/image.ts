import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from './command.ts'
import { findProgram, PrerequisiteMissingError } from './prerequisites.ts'

/** A container image made from files of this machine, with no registry. */
export interface Image {
  /** Its reference, such as `podpass.test/base:1`. */
  readonly name: string
  readonly entrypoint: readonly string[]
  /** More files: a path in the image to a path here. Each keeps its mode. */
  readonly files?: Readonly<Record<string, string>>
}

/** Busybox, a shell and its usual commands. It sleeps, which is all that a pod's sandbox has to do, too. */
export const baseImage: Image = { name: 'podpass.test/base:1', entrypoint: ['/bin/sleep', '1000000'] }

/**
 * Writes an image with busybox and the files given as an OCI image layout in a tar file (OCI image-spec, image-layout.md).
 *
 * @param archive - the file to write; its directory also takes what is needed on the way
 * @throws {PrerequisiteMissingError} where busybox needs libraries
 */
export async function writeImage(archive: string, image: Image): Promise<void> {
  const work = await mkdtemp(join(dirname(archive), 'work-'))
  try {
    const root = join(work, 'root')
    await fillRoot(root, image.files ?? {})
    const layout = join(work, 'layout')
    await writeLayout(layout, root, image)
    await tar(archive, layout)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function fillRoot(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const directory of ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp']) {
    await mkdir(join(root, directory), { recursive: true })
  }
  await chmod(join(root, 'tmp'), 0o1777)
  const busybox = (await findProgram('busybox')) ?? '/bin/busybox'
  await copyFile(busybox, join(root, 'bin/busybox'))
  await run('chroot', [root, '/bin/busybox', 'true']).catch((error: unknown) => {
    throw new PrerequisiteMissingError(
      `${busybox} does not run on its own. On Debian: apt-get install -y busybox-static`,
      {
        cause: error,
      },
    )
  })
  for (const applet of (await run(busybox, ['--list'])).trim().split('\n')) {
    if (applet !== 'busybox') await symlink('busybox', join(root, 'bin', applet))
  }
  for (const [path, source] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await copyFile(source, join(root, path))
  }
}

async function writeLayout(layout: string, root: string, image: Image): Promise<void> {
  const blobs = join(layout, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })

  /** Stores a blob and describes it (OCI image-spec, descriptor.md). */
  const store = async (mediaType: string, content: Buffer): Promise<Descriptor> => {
    const digest = createHash('sha256').update(content).digest('hex')
    await writeFile(join(blobs, digest), content)
    return { mediaType, digest: `sha256:${digest}`, size: content.length }
  }
  const storeJson = (mediaType: string, value: object): Promise<Descriptor> =>
    store(mediaType, Buffer.from(JSON.stringify(value)))

  const layerFile = join(layout, 'layer.tar')
  await tar(layerFile, root)
  const layer = await store('application/vnd.oci.image.layer.v1.tar', await readFile(layerFile))
  await rm(layerFile)
  const config = await storeJson('application/vnd.oci.image.config.v1+json', {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: image.entrypoint, Env: ['PATH=/usr/local/bin:/usr/bin:/bin:/sbin'] },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  })
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = await storeJson(mediaType, { schemaVersion: 2, mediaType, config, layers: [layer] })
  const annotations = { 'io.containerd.image.name': image.name }
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  )
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

async function tar(archive: string, directory: string): Promise<void> {
  const owner = ['--owner=0', '--group=0', '--numeric-owner']
  await run('tar', ['--create', '--file', archive, '--directory', directory, '--sort=name', ...owner, '.'])
}
