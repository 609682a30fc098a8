import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Libc, loadLibc } from './libc.ts'

const loaded = loadLibc()

describe.skipIf(loaded === undefined)(
  `the C library${loaded === undefined ? ' (skipped: koffi has no build here)' : ''}`,
  () => {
    const libc = loaded as Libc
    let folder: string
    let path: string

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'podpass-'))
      path = join(folder, 'lock')
    })

    afterEach(() => rmSync(folder, { recursive: true }))

    /** Runs a program that has this library as `libc` and its arguments as `args`. */
    function program(source: string, ...args: readonly string[]): readonly [string, readonly string[]] {
      const module = JSON.stringify(join(import.meta.dirname, 'libc.ts'))
      const code = `const { loadLibc } = await import(${module}); const libc = loadLibc(); const args = process.argv.slice(1); ${source}`
      return [process.execPath, ['--input-type=module', '-e', code, ...args]]
    }

    test('a lock is held by one descriptor at a time, and let go of when that is closed', () => {
      const first = openSync(path, 'w')
      const second = openSync(path, 'w')
      expect(libc.lockExclusive(first)).toBeUndefined()
      expect(libc.lockExclusive(first)).toBeUndefined()
      expect(libc.lockExclusive(second)).toBe('EAGAIN')
      closeSync(first)
      expect(libc.lockExclusive(second)).toBeUndefined()
      closeSync(second)
    })

    test('a lock of another process holds until that process ends, however it ends', async () => {
      const held =
        "const { openSync } = await import('node:fs'); console.log(libc.lockExclusive(openSync(args[0], 'w')) ?? 'held'); setInterval(() => {}, 1e6)"
      const [command, args] = program(held, path)
      const holder = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'inherit'] })
      const [line] = (await once(holder.stdout, 'data')) as [Buffer]
      expect(line.toString().trim()).toBe('held')
      const descriptor = openSync(path, 'w')
      expect(libc.lockExclusive(descriptor)).toBe('EAGAIN')
      holder.kill('SIGKILL')
      await once(holder, 'exit')
      expect(libc.lockExclusive(descriptor)).toBeUndefined()
      closeSync(descriptor)
    })

    test('a failure is told by the name of its errno, in thousands of calls without one mistake', () => {
      const unmounted = new Set<string | undefined>()
      const locked = new Set<string | undefined>()
      for (let round = 0; round < 5000; round++) {
        unmounted.add(libc.unmount(join(folder, `missing ${round}`), 0))
        locked.add(libc.lockExclusive(1 << 20))
      }
      expect(locked).toEqual(new Set(['EBADF']))
      // Before Linux 5.9 an ordinary user was refused before the path was looked up.
      expect(unmounted.size).toBe(1)
      expect([...unmounted][0]).toMatch(/^E(?:NOENT|PERM)$/)
    })

    test('a path may hold any characters', () => {
      expect(libc.unmount(join(folder, 'ключ 漢 🙂'), 0)).toMatch(/^E(?:NOENT|PERM)$/)
    })

    test('dumps are forbidden, and the list of mounts can still be read', async () => {
      const source = `
      const { readFileSync } = await import('node:fs')
      const refused = libc.forbidDumps()
      const limit = /Max core file size\\s+(\\S+)\\s+(\\S+)/.exec(readFileSync('/proc/self/limits', 'utf8'))
      const mounts = readFileSync('/proc/self/mountinfo', 'utf8').length > 0
      console.log(JSON.stringify({ refused, soft: limit[1], hard: limit[2], mounts }))`
      const [command, args] = program(source)
      const { stdout } = await promisify(execFile)(command, [...args])
      expect(JSON.parse(stdout)).toEqual({ soft: '0', hard: '0', mounts: true })
    })
  },
)
