import * as fc from 'fast-check'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import type * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Payload } from './payload.ts'
import { isComplete, replaceFile, wipe, writePayload } from './payload-writer.ts'

/** How many changes of the file system still succeed; the one after is left half done, as are all later ones not done at all. */
const life = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY }))

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>()
  const live = (): boolean => life.left-- > 0
  const crash = (): never => {
    throw new Error('crashed')
  }
  return {
    ...real,
    openSync: (...args: Parameters<typeof real.openSync>) => (live() ? real.openSync(...args) : crash()),
    writeFileSync: (...args: Parameters<typeof real.writeFileSync>) => {
      if (live()) return real.writeFileSync(...args)
      const [file, content] = args
      if (typeof content === 'string') real.writeFileSync(file, content.slice(0, content.length / 2))
      return crash()
    },
    fchownSync: (...args: Parameters<typeof real.fchownSync>) => (live() ? real.fchownSync(...args) : crash()),
    fchmodSync: (...args: Parameters<typeof real.fchmodSync>) => (live() ? real.fchmodSync(...args) : crash()),
    chmodSync: (...args: Parameters<typeof real.chmodSync>) => (live() ? real.chmodSync(...args) : crash()),
    chownSync: (...args: Parameters<typeof real.chownSync>) => (live() ? real.chownSync(...args) : crash()),
    mkdirSync: (...args: Parameters<typeof real.mkdirSync>) => (live() ? real.mkdirSync(...args) : crash()),
    renameSync: (...args: Parameters<typeof real.renameSync>) => (live() ? real.renameSync(...args) : crash()),
    symlinkSync: (...args: Parameters<typeof real.symlinkSync>) => (live() ? real.symlinkSync(...args) : crash()),
    rmSync: (...args: Parameters<typeof real.rmSync>) => {
      if (live()) return real.rmSync(...args)
      const folder = String(args[0])
      if (existsSync(folder) && lstatSync(folder).isDirectory()) {
        for (const entry of readdirSync(folder).slice(0, 1)) real.rmSync(join(folder, entry), { recursive: true })
      }
      return crash()
    },
  }
})

const isRoot = process.geteuid?.() === 0
/** The owner may write where the modes cannot be passed over. */
const directoryMode = isRoot ? 0o550 : 0o750
const group = isRoot ? 54321 : process.getgid?.()

let folder: string
let root: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podpass-'))
  root = join(folder, 'data')
  mkdirSync(root)
})

afterEach(() => {
  life.left = Number.POSITIVE_INFINITY
  rmSync(folder, { recursive: true, force: true })
})

function emptyRoot(): void {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root)
}

function payloadOf(files: Readonly<Record<string, string>>, links: Readonly<Record<string, string>> = {}): Payload {
  return { files: new Map(Object.entries(files)), links: new Map(Object.entries(links)) }
}

const first = payloadOf({ 'tls.crt': 'certificate 1', 'tls.key': 'key 1', 'bar/ca.crt': '' }, { 'crt.pem': 'tls.crt' })
const second = payloadOf(
  { 'tls.crt': 'certificate 2', 'tls.key': 'key 2', 'bar/ca.crt': 'ca' },
  { 'crt.pem': 'tls.crt' },
)

/** Everything below a folder: files by their content, links by what they lead to. */
function contentsOf(directory: string, prefix = ''): Record<string, string> {
  const contents: Record<string, string> = {}
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) Object.assign(contents, contentsOf(path, `${prefix}${entry.name}/`))
    else
      contents[prefix + entry.name] = entry.isSymbolicLink() ? `-> ${readlinkSync(path)}` : readFileSync(path, 'utf8')
  }
  return contents
}

function expected({ files, links }: Payload): Record<string, string> {
  const texts = [...files].map(([path, content]) => [path, Buffer.from(content).toString('utf8')] as const)
  return { ...Object.fromEntries(texts), ...Object.fromEntries([...links].map(([link, path]) => [link, `-> ${path}`])) }
}

/** What a pod sees through `..data`; undefined before there is any. */
function seen(): Record<string, string> | undefined {
  return existsSync(join(root, '..data')) ? contentsOf(realpathSync(join(root, '..data'))) : undefined
}

/** What stands in the root: the payload that is seen, and the visible names, each with what it leads through. */
function look() {
  const generation = readlinkSync(join(root, '..data'))
  const names = readdirSync(root).filter((entry) => entry !== '..data' && entry !== generation)
  return { payload: seen(), names: Object.fromEntries(names.map((name) => [name, readlinkSync(join(root, name))])) }
}

/** What stands in the root where there is exactly one payload. */
function exactly(payload: Payload): ReturnType<typeof look> {
  const names = [...payload.files.keys(), ...payload.links.keys()].map((path) => path.split('/')[0] ?? '')
  return { payload: expected(payload), names: Object.fromEntries(names.map((name) => [name, `..data/${name}`])) }
}

describe('writing a payload', () => {
  test('writes bytes as they are', async () => {
    const bytes = Uint8Array.of(0, 255, 254, 128, 10)
    await writePayload(root, { files: new Map([['key.der', bytes]]), links: new Map() }, undefined)
    expect([...readFileSync(join(root, 'key.der'))]).toEqual([...bytes])
  })

  test('makes no folder where there is none: without its private memory, the root would be a disk', async () => {
    rmSync(root, { recursive: true })
    await expect(writePayload(root, first, undefined)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(readdirSync(folder)).toEqual([])
  })

  test('shows each file under its name, and replaces all of them', async () => {
    await writePayload(root, first, undefined)
    expect(look()).toEqual(exactly(first))
    await writePayload(root, second, undefined)
    expect(look()).toEqual(exactly(second))
  })

  test('names that are no longer used go, new ones come, and a folder may become a file', async () => {
    await writePayload(root, payloadOf({ 'a/b/c': '1', d: '2' }, { e: 'd' }), undefined)
    const changed = payloadOf({ a: '3', 'd/e': '4', e: '5' })
    await writePayload(root, changed, undefined)
    expect(look()).toEqual(exactly(changed))
  })

  test.each([0o000, 0o022, 0o077])(
    'folders are 0550, files 0440, all of the group, whatever the umask %o',
    async (mask) => {
      const before = process.umask(mask)
      try {
        await writePayload(root, first, group)
        await writePayload(root, second, group)
      } finally {
        process.umask(before)
      }
      const generation = realpathSync(join(root, '..data'))
      for (const directory of [root, generation, join(generation, 'bar')]) {
        expect((lstatSync(directory).mode & 0o7777).toString(8)).toBe(directoryMode.toString(8))
        expect(lstatSync(directory).gid).toBe(group)
      }
      for (const file of ['tls.crt', 'tls.key', 'bar/ca.crt']) {
        expect((lstatSync(join(generation, file)).mode & 0o7777).toString(8)).toBe('440')
        expect(lstatSync(join(generation, file)).gid).toBe(group)
      }
    },
  )

  test('without a group the files belong to the group of this process', async () => {
    await writePayload(root, first, undefined)
    expect(lstatSync(join(root, '..data', 'tls.key')).gid).toBe(process.getgid?.())
  })

  test('takes over what the Go csi-driver has written', async () => {
    mkdirSync(join(root, '..2026_08_22_10_00_00.123'), { recursive: true })
    writeFileSync(join(root, '..2026_08_22_10_00_00.123', 'tls.crt'), 'old')
    symlinkSync('..2026_08_22_10_00_00.123', join(root, '..data'))
    symlinkSync('..data/tls.crt', join(root, 'tls.crt'))
    symlinkSync('..2026_08_22_10_00_00.123', join(root, '..data_tmp'))
    await writePayload(root, second, undefined)
    expect(look()).toEqual(exactly(second))
  })

  test('a name of 255 bytes in any script is a name', async () => {
    const names = payloadOf({
      [`${'é'.repeat(127)}a`]: '1',
      ['x'.repeat(255)]: '2',
      [`${'漢'.repeat(85)}/${'漢'.repeat(85)}`]: '3',
    })
    await writePayload(root, names, undefined)
    expect(look()).toEqual(exactly(names))
  })

  test('who has opened a file reads it to its end, also after it was replaced', async () => {
    await writePayload(root, first, undefined)
    const descriptor = openSync(join(root, 'tls.key'), 'r')
    await writePayload(root, second, undefined)
    const bytes = Buffer.alloc(100)
    expect(bytes.toString('utf8', 0, readSync(descriptor, bytes))).toBe('key 1')
  })

  const segments = fc.constantFrom('a', 'b', 'tls.crt', 'é', 'with space', '.hidden')
  const paths = fc.array(segments, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
  const payloads = fc
    .tuple(fc.uniqueArray(paths, { minLength: 1, maxLength: 6 }), fc.boolean())
    .map(([names, linked]) => ({ names: names.filter((name) => !clashes(name, names)), linked }))
    .filter(({ names }) => names.length > 0)

  function clashes(name: string, names: readonly string[]): boolean {
    return names.some((other) => other.startsWith(`${name}/`)) || name === 'legacy'
  }

  test('after any sequence of payloads there is exactly the last one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(payloads, { minLength: 1, maxLength: 4 }), async (sequence) => {
        for (const [index, { names, linked }] of sequence.entries()) {
          const files = Object.fromEntries(names.map((name) => [name, `${index} ${name}`]))
          const payload = payloadOf(files, linked ? { legacy: names[0] ?? '' } : {})
          await writePayload(root, payload, undefined)
          expect(look()).toEqual(exactly(payload))
        }
      }),
      { numRuns: 40 },
    )
  })

  test('a reader that looks `..data` up once never sees two generations', async () => {
    const names = ['tls.crt', 'tls.key', 'bar/ca.crt']
    const reader = startReader(names)
    try {
      for (let written = 0; reader.generations() < 30; written++) {
        const generation = `generation ${written}`
        await writePayload(root, payloadOf(Object.fromEntries(names.map((name) => [name, generation]))), undefined)
        // The reader can only end before it is stopped by failing.
        await Promise.race([setImmediate(), reader.torn])
      }
    } finally {
      reader.stop()
    }
    expect(await reader.torn).toEqual([])
  })

  /** A reader in a thread of its own: it looks `..data` up once and reads all below it, again and again until it is stopped. */
  function startReader(names: readonly string[]) {
    const source = `
      const { parentPort, workerData: { root, names, shared } } = require('node:worker_threads')
      const { readFileSync, realpathSync } = require('node:fs')
      const [torn, generations] = [new Set(), new Set()]
      while (Atomics.load(shared, 0) === 0) {
        try {
          const generation = realpathSync(root + '/..data')
          const contents = names.map((name) => readFileSync(generation + '/' + name, 'utf8'))
          if (new Set(contents).size > 1) torn.add(contents.join(', '))
          Atomics.store(shared, 1, generations.add(contents[0]).size)
        } catch (error) {
          // The generation was gone in the meantime, or there was none yet.
          if (error.code !== 'ENOENT') throw error
        }
      }
      parentPort.postMessage([...torn])`
    const shared = new Int32Array(new SharedArrayBuffer(8))
    const worker = new Worker(source, { eval: true, workerData: { root, names, shared } })
    const torn = new Promise<readonly string[]>((resolve, reject) => worker.on('message', resolve).on('error', reject))
    const generations = (): number => Atomics.load(shared, 1)
    return { torn, generations, stop: () => Atomics.store(shared, 0, 1) }
  }

  test('a crash at any step leaves the old payload or the new one, whole, and the next write mends the rest', async () => {
    let crashes = 0
    for (let steps = 0; ; steps++) {
      emptyRoot()
      await writePayload(root, first, group)
      life.left = steps
      const ended = await writePayload(root, second, group).then(
        () => true,
        (error: Error) => {
          expect(error.message).toBe('crashed')
          return false
        },
      )
      life.left = Number.POSITIVE_INFINITY
      const now = seen()
      expect([expected(first), expected(second)]).toContainEqual(now)
      for (const path of first.files.keys()) expect(readFileSync(join(root, path), 'utf8')).toBe(now?.[path])
      await writePayload(root, second, group)
      expect(look()).toEqual(exactly(second))
      if (ended) break
      crashes++
    }
    expect(crashes).toBeGreaterThan(20)
  })

  test('a crash at any step of the first write shows nothing, or the whole payload', async () => {
    for (let steps = 0; ; steps++) {
      emptyRoot()
      life.left = steps
      const ended = await writePayload(root, first, group).then(
        () => true,
        () => false,
      )
      life.left = Number.POSITIVE_INFINITY
      expect([undefined, expected(first)]).toContainEqual(seen())
      await writePayload(root, second, group)
      expect(look()).toEqual(exactly(second))
      if (ended) break
    }
  })

  test('while it is written, no file may be read by others for a moment', async () => {
    for (let steps = 0; ; steps++) {
      emptyRoot()
      life.left = steps
      const ended = await writePayload(root, first, group).then(
        () => true,
        () => false,
      )
      life.left = Number.POSITIVE_INFINITY
      const entries = existsSync(root) ? readdirSync(root, { recursive: true, withFileTypes: true }) : []
      for (const entry of entries) {
        if (!entry.isFile()) continue
        const { mode, gid } = lstatSync(join(entry.parentPath, entry.name))
        // Its owner alone, or the group that it is for.
        expect(gid === group ? [0o400, 0o440] : [0o400]).toContain(mode & 0o7777)
      }
      if (ended) break
    }
  })
})

describe('whether a payload is complete', () => {
  test('it is, once each file is reached through its name', async () => {
    const names = [...first.files.keys()]
    expect(await isComplete(root, names)).toBe(false)
    await writePayload(root, first, undefined)
    expect(await isComplete(root, names)).toBe(true)
    expect(await isComplete(root, [...names, 'other'])).toBe(false)
  })

  test('it is not, where a name leads nowhere', async () => {
    await writePayload(root, first, undefined)
    chmodSync(root, 0o700)
    rmSync(join(root, 'tls.crt'))
    symlinkSync('..data/gone', join(root, 'tls.crt'))
    expect(await isComplete(root, first.files.keys())).toBe(false)
  })
})

describe('wiping', () => {
  test('leaves nothing, and nothing to read for who has a file open', async () => {
    await writePayload(root, first, undefined)
    const descriptor = openSync(join(root, 'tls.key'), 'r')
    await wipe(root)
    expect(existsSync(root)).toBe(false)
    expect(readSync(descriptor, Buffer.alloc(100))).toBe(0)
  })

  test('removes a symbolic link and leaves alone what it leads to', async () => {
    writeFileSync(join(folder, 'outside'), 'kept')
    symlinkSync(join(folder, 'outside'), join(root, 'file'))
    symlinkSync(folder, join(root, 'directory'))
    symlinkSync('nowhere', join(root, 'dangling'))
    await wipe(root)
    expect(readFileSync(join(folder, 'outside'), 'utf8')).toBe('kept')
    expect(readdirSync(folder)).toEqual(['outside'])
  })

  test('passes over modes that forbid it to the owner', async () => {
    mkdirSync(join(root, 'closed'), { recursive: true })
    writeFileSync(join(root, 'closed', 'file'), 'x', { mode: 0o000 })
    chmodSync(join(root, 'closed'), 0o000)
    await wipe(root)
    expect(existsSync(root)).toBe(false)
  })

  test('what is not there is wiped already', async () => {
    await wipe(join(folder, 'missing'))
    expect(readdirSync(folder)).toEqual(['data'])
  })
})

describe('replacing a file', () => {
  test('changes its content at once, for its owner only, and leaves nothing beside it', async () => {
    const path = join(root, 'state.json')
    await replaceFile(path, 'one')
    await replaceFile(path, 'two')
    expect(readFileSync(path, 'utf8')).toBe('two')
    expect(lstatSync(path).mode & 0o7777).toBe(0o600)
    expect(readdirSync(root)).toEqual(['state.json'])
  })

  test('does not write through a link that stands in its place', async () => {
    writeFileSync(join(folder, 'outside'), 'kept')
    const path = join(folder, 'state.json')
    symlinkSync('outside', path)
    symlinkSync('outside', join(dirname(path), '.state.json.new'))
    await replaceFile(path, 'new')
    expect(readFileSync(join(folder, 'outside'), 'utf8')).toBe('kept')
    expect(readFileSync(path, 'utf8')).toBe('new')
  })

  test('a crash at any step leaves the old content or the new, and does not hinder the next time', async () => {
    const path = join(folder, 'state.json')
    for (let steps = 0; ; steps++) {
      await replaceFile(path, 'old content')
      life.left = steps
      const ended = await replaceFile(path, 'new content').then(
        () => true,
        () => false,
      )
      life.left = Number.POSITIVE_INFINITY
      expect(['old content', 'new content']).toContain(readFileSync(path, 'utf8'))
      if (ended) break
    }
    expect(readFileSync(path, 'utf8')).toBe('new content')
  })
})
