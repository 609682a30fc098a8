import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readdir, readFile, rm, stat, statfs, symlink, writeFile } from 'node:fs/promises'
import { release } from 'node:os'
import { join } from 'node:path'
import { loadLibc } from '../../src/runtime/libc.ts'
import { mountAt, readMountInfo } from '../../src/volume/mount-info.ts'
import { MountError } from '../../src/volume/mounter.ts'
import { writePayload } from '../../src/volume/payload-writer.ts'
import { VolumeStore } from '../../src/volume/store.ts'
import { type MountCalls, mountCommands, SystemMounter, systemCalls } from '../../src/volume/system-mounter.ts'

/**
 * What real mounts are asked for. It runs as a program in a mount namespace of its own, because a namespace belongs to a thread and
 * a test's file access runs on several: `node mount-scenarios.ts <backend> <folder>` prints one line of JSON a scenario.
 */
export const backends = ['mount(2)', 'mount(2) before Linux 5.12', 'mount(8)'] as const

export type Backend = (typeof backends)[number]

/** How a scenario went: without a failure, well. */
export interface ScenarioResult {
  readonly name: string
  readonly failure?: string
}

interface Stage {
  readonly calls: MountCalls
  readonly mounter: SystemMounter
  readonly backend: Backend
  /** An empty folder of this scenario's own. */
  readonly folder: string
}

const size = 1024 * 1024

function callsOf(backend: Backend): MountCalls {
  if (backend === 'mount(8)') return mountCommands()
  const libc = loadLibc()
  assert(libc !== undefined, 'koffi has no build for this machine')
  const { show, ...older } = systemCalls(libc)
  return backend === 'mount(2)' && show !== undefined ? { ...older, show: refusable(show) } : older
}

/** Fails the scenario where the kernel refuses the short way, which the mounter would go around. */
function refusable(show: NonNullable<MountCalls['show']>): NonNullable<MountCalls['show']> {
  return async (source, target, access) => {
    const refusal = await show(source, target, access)
    assert.equal(refusal, undefined, 'the mount could not be cloned')
    return refusal
  }
}

async function countLayers(path: string): Promise<number> {
  return (await readMountInfo()).filter(({ mountPoint }) => mountPoint === path).length
}

/** Private memory with a file in the folder that is shown, and a target. */
async function volumeIn({ mounter, folder }: Pick<Stage, 'mounter' | 'folder'>) {
  const directory = join(folder, 'volumes', 'csi-1')
  await mounter.mountPrivate(directory, { size })
  const source = join(directory, 'data')
  await mkdir(source)
  await writeFile(join(source, 'tls.key'), 'first')
  return { directory, source, target: join(folder, 'target') }
}

/** A process in a mount namespace of its own, which has a copy of every mount of this one. */
async function strangerNamespace(): Promise<ChildProcess> {
  const stranger = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', 'echo ready; exec sleep 60'])
  assert(stranger.stdout !== null)
  await once(stranger.stdout, 'data')
  return stranger
}

export const mountScenarios: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'private memory is a tmpfs of the size asked for that only its owner enters, nosuid, nodev and noexec': async ({
    mounter,
    folder,
  }) => {
    const directory = join(folder, 'deep', 'down')
    assert.equal(await mounter.isPrivate(directory), false)
    const { noswap } = await mounter.mountPrivate(directory, { size })
    assert.equal(await mounter.isPrivate(directory), true)
    const mounted = mountAt(await readMountInfo(), directory)
    assert.equal(mounted?.type, 'tmpfs')
    for (const option of ['rw', 'nosuid', 'nodev', 'noexec']) assert(mounted.options.includes(option), option)
    assert.equal(mounted.superOptions.includes('noswap'), noswap)
    assert.equal((await stat(directory)).mode & 0o7777, 0o700)
    const { blocks, bsize } = await statfs(directory)
    assert.equal(blocks * bsize, size)
    await assert.rejects(writeFile(join(directory, 'large'), Buffer.alloc(size + 1)), { code: 'ENOSPC' })
  },

  'private memory stays out of swap where the kernel offers that, and a user namespace is told that it does not':
    async ({ mounter, folder }) => {
      const { noswap } = await mounter.mountPrivate(join(folder, 'volume'), { size })
      // Only the first user namespace maps all ids to themselves; only in it, and since Linux 6.4, noswap is granted.
      const isFirst = /^\s*0\s+0\s+4294967295$/m.test(await readFile('/proc/self/uid_map', 'utf8'))
      const [major = 0, minor = 0] = release().split('.').map(Number)
      if (!isFirst) assert.equal(noswap, false)
      else if (major > 6 || (major === 6 && minor >= 4)) assert.equal(noswap, true)
    },

  'private memory is mounted once, however often it is asked for, and says each time whether it stays out of swap':
    async ({ mounter, folder }) => {
      const directory = join(folder, 'volume')
      const first = await mounter.mountPrivate(directory, { size })
      await writeFile(join(directory, 'state.json'), '{}')
      assert.deepEqual(await mounter.mountPrivate(directory, { size }), first)
      assert.equal(await countLayers(directory), 1)
      assert.equal(await readFile(join(directory, 'state.json'), 'utf8'), '{}')
    },

  'a folder on disk, and one that is not there, are not private': async ({ mounter, folder }) => {
    assert.equal(await mounter.isPrivate(folder), false)
    assert.equal(await mounter.isPrivate(join(folder, 'missing')), false)
  },

  'a kernel that refuses noswap gets the mount without it, and is asked once': async ({ calls, folder }) => {
    const asked: string[] = []
    const mounter = new SystemMounter({
      ...calls,
      mountTmpfs: async (target, data) => {
        asked.push(data)
        return data.includes('noswap') ? 'EINVAL' : calls.mountTmpfs(target, data)
      },
    })
    assert.deepEqual(await mounter.mountPrivate(join(folder, 'one'), { size }), { noswap: false })
    assert.deepEqual(await mounter.mountPrivate(join(folder, 'two'), { size }), { noswap: false })
    const plain = `size=${size},mode=0700`
    assert.deepEqual(asked, [`${plain},noswap`, plain, plain])
  },

  'a mount that fails says which, where and why': async ({ mounter, calls, folder }) => {
    await writeFile(join(folder, 'file'), '')
    await assert.rejects(
      new SystemMounter({ ...calls, mountTmpfs: async () => 'EPERM' }).mountPrivate(join(folder, 'volume'), { size }),
      (error) =>
        error instanceof MountError &&
        error.errno === 'EPERM' &&
        error.message === `cannot mount tmpfs at ${join(folder, 'volume')}: EPERM`,
    )
    const { source } = await volumeIn({ mounter, folder })
    await assert.rejects(mounter.show(source, join(folder, 'no', 'parent')), { code: 'MOUNT_FAILED', errno: 'ENOENT' })
  },

  'a target shows exactly the files, takes no writes, and sees what the driver writes': async ({ mounter, folder }) => {
    const { directory, source, target } = await volumeIn({ mounter, folder })
    assert.equal(await mounter.shows(source, target), 'nothing')
    await mounter.show(source, target)
    assert.equal(await mounter.shows(source, target), 'exactly')
    assert.deepEqual(await readdir(target), ['tls.key'])
    await assert.rejects(writeFile(join(target, 'tls.key'), 'forged'), { code: 'EROFS' })
    await assert.rejects(writeFile(join(target, 'new'), ''), { code: 'EROFS' })
    const mounted = mountAt(await readMountInfo(), target)
    for (const option of ['ro', 'nosuid', 'nodev', 'noexec']) assert(mounted?.options.includes(option), option)
    await writeFile(join(source, 'tls.key'), 'second')
    assert.equal(await readFile(join(target, 'tls.key'), 'utf8'), 'second')
    assert.deepEqual(await readdir(directory), ['data'])
  },

  'a swap of the payload is seen through the target': async ({ mounter, folder }) => {
    const { directory, target } = await volumeIn({ mounter, folder })
    const store = new VolumeStore(directory)
    const payload = (content: string) => ({
      files: new Map([['a/tls.crt', content]]),
      links: new Map<string, string>(),
    })
    await writePayload(store.data, payload('first'), undefined)
    await mounter.show(store.data, target)
    await writePayload(store.data, payload('second'), undefined)
    assert.equal(await readFile(join(target, 'a', 'tls.crt'), 'utf8'), 'second')
    assert.equal(await readFile(join(target, '..data', 'a', 'tls.crt'), 'utf8'), 'second')
  },

  'showing again changes nothing': async ({ mounter, folder }) => {
    const { source, target } = await volumeIn({ mounter, folder })
    await mounter.show(source, target)
    await mounter.show(source, target)
    assert.equal(await countLayers(target), 1)
  },

  'a namespace that the target is shared with sees it read-only too': async ({ mounter, folder, backend }) => {
    const host = join(folder, 'host')
    await mounter.mountPrivate(host, { size })
    execFileSync('mount', ['--make-shared', host])
    const { source, target } = await volumeIn({ mounter, folder: host })
    const args = ['--mount', '--propagation', 'unchanged', process.execPath, import.meta.filename]
    execFileSync('unshare', [...args, backend, 'show', source, target], { stdio: ['ignore', 'ignore', 'inherit'] })
    assert.deepEqual(await readdir(target), ['tls.key'])
    await assert.rejects(writeFile(join(target, 'new'), ''), { code: 'EROFS' })
    assert.equal(mountAt(await readMountInfo(), target)?.options.includes('ro'), true)
    assert.deepEqual(await readdir(join(host, 'volumes', 'csi-1')), ['data'])
  },

  'a target that shows something else, or the files writable, is put right': async ({ mounter, calls, folder }) => {
    const { directory, source, target } = await volumeIn({ mounter, folder })
    await mkdir(target)
    assert.equal(await calls.bind(source, target), undefined)
    assert.equal(await mounter.shows(source, target), 'something else')
    await mounter.show(source, target)
    assert.equal(await mounter.shows(source, target), 'exactly')
    assert.equal(await countLayers(target), 1)
    await mounter.unmount(target)
    await mkdir(join(directory, 'other'))
    assert.equal(await calls.bind(join(directory, 'other'), target), undefined)
    assert.equal(await mounter.shows(source, target), 'something else')
    await mounter.show(source, target)
    assert.deepEqual(await readdir(target), ['tls.key'])
  },

  'files whose private memory was unmounted are taken hold of through their target, and who sees it sees what is written':
    async ({ mounter, folder }) => {
      const { directory, source, target } = await volumeIn({ mounter, folder })
      await mounter.show(source, target)
      const stranger = await strangerNamespace()
      try {
        assert.equal(await mounter.regain(source, target), false)
        await mounter.unmount(directory)
        assert.equal(await mounter.isPrivate(directory), false)
        await mounter.mountPrivate(directory, { size })
        await mkdir(source)
        assert.equal(await mounter.regain(source, target), true)
        assert.equal(await mounter.shows(source, target), 'exactly')
        assert.equal(await mounter.regain(source, target), false)
        await writeFile(join(source, 'tls.key'), 'second')
        assert.equal(await readFile(join(`/proc/${stranger.pid}/root`, target, 'tls.key'), 'utf8'), 'second')
        await assert.rejects(writeFile(join(target, 'tls.key'), 'forged'), { code: 'EROFS' })
        assert.equal(await mounter.isPrivate(directory), true)
        assert.deepEqual(await readdir(directory), ['data'])
        const store = new VolumeStore(directory)
        await mounter.unmount(target)
        await store.wipe()
        assert.deepEqual(await readdir(join(`/proc/${stranger.pid}/root`, target)), [])
        assert.equal(await mounter.unmount(directory), true)
        await store.remove()
        assert.equal(await countLayers(source), 0)
      } finally {
        stranger.kill()
      }
    },

  'a target that shows nothing, or what cannot be written any more, gives nothing back': async ({
    mounter,
    calls,
    folder,
  }) => {
    const { source, target } = await volumeIn({ mounter, folder })
    assert.equal(await mounter.regain(source, target), false)
    await mkdir(target)
    assert.equal(await mounter.regain(source, target), false)
    const other = await volumeIn({ mounter, folder: join(folder, 'other') })
    assert.equal(await calls.bind(other.source, target), undefined)
    await rm(other.source, { recursive: true })
    assert.equal(await mounter.regain(source, target), false)
    assert.equal(await readFile(join(source, 'tls.key'), 'utf8'), 'first')
  },

  'files that were taken hold of stay writable in a namespace that shares their mounts': async ({
    mounter,
    folder,
    backend,
  }) => {
    const host = join(folder, 'host')
    await mounter.mountPrivate(host, { size })
    execFileSync('mount', ['--make-shared', host])
    const { directory, source, target } = await volumeIn({ mounter, folder: host })
    await mounter.show(source, target)
    await mounter.unmount(directory)
    await mounter.mountPrivate(directory, { size })
    await mkdir(source)
    const args = ['--mount', '--propagation', 'unchanged', process.execPath, import.meta.filename]
    execFileSync('unshare', [...args, backend, 'regain', source, target], { stdio: ['ignore', 'ignore', 'inherit'] })
    await writeFile(join(source, 'tls.key'), 'second')
    assert.equal(await readFile(join(target, 'tls.key'), 'utf8'), 'second')
  },

  'what a process that ended while it showed a volume has left is taken away': async ({ mounter, calls, folder }) => {
    const { directory, source, target } = await volumeIn({ mounter, folder })
    const leave = async (): Promise<void> => {
      await mkdir(join(directory, 'window'))
      assert.equal(await calls.bind(source, join(directory, 'window')), undefined)
    }
    await leave()
    assert.equal(await mounter.isPrivate(directory), true)
    assert.deepEqual(await readdir(directory), ['data'])
    await leave()
    await mounter.show(source, target)
    assert.deepEqual(await readdir(directory), ['data'])
    assert.deepEqual(await readdir(target), ['tls.key'])
  },

  'unmounting takes all layers away, and nothing where there is nothing': async ({ mounter, calls, folder }) => {
    const { source, target } = await volumeIn({ mounter, folder })
    await mounter.show(source, target)
    assert.equal(await calls.bind(source, target), undefined)
    assert.equal(await calls.bind(source, target), undefined)
    assert.equal(await countLayers(target), 3)
    assert.equal(await mounter.unmount(target), true)
    assert.equal(await countLayers(target), 0)
    assert.deepEqual(await readdir(target), [])
    assert.equal(await mounter.unmount(target), false)
    assert.equal(await mounter.unmount(join(folder, 'missing')), false)
  },

  'a mount that is in use is taken away all the same, and its user reads on': async ({ mounter, folder }) => {
    const { source, target } = await volumeIn({ mounter, folder })
    await mounter.show(source, target)
    const file = await open(join(target, 'tls.key'))
    assert.equal(await mounter.unmount(target), true)
    assert.deepEqual(await readdir(target), [])
    assert.equal(await file.readFile('utf8'), 'first')
    await file.close()
  },

  'words of an error in a path do not change its meaning': async ({ mounter, calls, folder }) => {
    const busy = join(folder, 'target is busy')
    await mkdir(busy)
    assert.equal(await calls.unmount(busy, false), 'EINVAL')
    const { source } = await volumeIn({ mounter, folder })
    const unmounted = join(folder, 'not mounted')
    await mounter.show(source, unmounted)
    const file = await open(join(unmounted, 'tls.key'))
    assert.equal(await calls.unmount(unmounted, false), 'EBUSY')
    await file.close()
  },

  'a path through a symbolic link is the path it leads to': async ({ mounter, folder }) => {
    await mkdir(join(folder, 'real'))
    await symlink('real', join(folder, 'link'))
    const { directory, source, target } = await volumeIn({ mounter, folder: join(folder, 'link') })
    assert.equal(await mounter.isPrivate(directory), true)
    await mounter.mountPrivate(directory, { size })
    assert.equal(await countLayers(join(folder, 'real', 'volumes', 'csi-1')), 1)
    await mounter.show(source, target)
    await mounter.show(source, target)
    assert.equal(await countLayers(join(folder, 'real', 'target')), 1)
    assert.equal(await mounter.unmount(target), true)
    assert.equal(await countLayers(join(folder, 'real', 'target')), 0)
  },

  'paths with spaces, quotes and letters of any script work': async ({ mounter, folder }) => {
    const odd = join(folder, 'a b\\040"\'\tñ✓')
    await mkdir(odd)
    const { source, target } = await volumeIn({ mounter, folder: odd })
    await mounter.show(source, target)
    assert.equal(await mounter.shows(source, target), 'exactly')
    assert.equal(await countLayers(target), 1)
    assert.equal(await mounter.unmount(target), true)
    assert.equal(await mounter.shows(source, target), 'nothing')
  },

  'after an unpublish a mount that leaked into another namespace holds no key': async ({ mounter, folder }) => {
    const { directory, source, target } = await volumeIn({ mounter, folder })
    const store = new VolumeStore(directory)
    await store.prepare()
    await mounter.show(source, target)
    const stranger = await strangerNamespace()
    try {
      const leaked = join(`/proc/${stranger.pid}/root`, target)
      const file = await open(join(leaked, 'tls.key'))
      assert.equal(await file.readFile('utf8'), 'first')
      await mounter.unmount(target)
      await store.wipe()
      assert.equal(await mounter.unmount(directory), true)
      await store.remove()
      assert.equal((await file.read(Buffer.alloc(8), 0, 8, 0)).bytesRead, 0)
      await file.close()
      await assert.rejects(readFile(join(leaked, 'tls.key')), { code: 'ENOENT' })
    } finally {
      stranger.kill()
    }
  },
}

async function runAll(backend: Backend, parent: string): Promise<void> {
  const calls = callsOf(backend)
  for (const [index, [name, scenario]] of Object.entries(mountScenarios).entries()) {
    const folder = join(parent, `${index}`)
    await mkdir(folder)
    let failure: string | undefined
    try {
      await scenario({ calls, mounter: new SystemMounter(calls), backend, folder })
    } catch (error) {
      failure = error instanceof Error ? (error.stack ?? error.message) : String(error)
    }
    const result: ScenarioResult = failure === undefined ? { name } : { name, failure }
    process.stdout.write(`${JSON.stringify(result)}\n`)
  }
}

if (process.argv[1] === import.meta.filename) {
  const [backend, folder, source, target] = process.argv.slice(2)
  const known = backends.find((known) => known === backend)
  if (known === undefined || folder === undefined) throw new TypeError('expected <backend> <folder>')
  const mounter = new SystemMounter(callsOf(known))
  if (folder === 'show') await mounter.show(source ?? '', target ?? '')
  else if (folder === 'regain') await mounter.regain(source ?? '', target ?? '')
  else await runAll(known, folder)
}
