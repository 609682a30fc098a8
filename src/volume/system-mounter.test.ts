import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backends, mountScenarios, type ScenarioResult } from '../../test/support/mount-scenarios.ts'

const program = join(import.meta.dirname, '../../test/support/mount-scenarios.ts')

const isRoot = process.geteuid?.() === 0

const namespaces = [
  { name: 'as root', command: ['--mount', '--propagation', 'private'], backends },
  {
    name: 'in a user namespace',
    command: ['--user', '--map-root-user', '--mount', '--propagation', 'private'],
    // Root has tried the other one already.
    backends: isRoot ? backends.slice(0, 1) : backends,
  },
]

/** Why no mounts can be tried there; undefined where they can. */
function obstacle(command: readonly string[]): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-'))
  try {
    const mount = ['mount', '-t', 'tmpfs', 'probe', folder]
    const { status, error, stderr } = spawnSync('unshare', [...command, ...mount], { encoding: 'utf8' })
    return status === 0 ? undefined : (error?.message ?? stderr.trim().split('\n')[0])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe.each(namespaces)('mounts $name', ({ command, backends }) => {
  const reason = obstacle(command)

  describe.skipIf(reason !== undefined).each(backends)(
    `by %s${reason === undefined ? '' : ` (skipped: ${reason})`}`,
    (backend) => {
      const results = new Map<string, ScenarioResult>()
      let folder: string | undefined

      beforeAll(async () => {
        folder = mkdtempSync(join(tmpdir(), 'podpass-'))
        const { stdout } = await promisify(execFile)('unshare', [
          ...command,
          process.execPath,
          program,
          backend,
          folder,
        ])
        for (const line of stdout.trim().split('\n')) {
          const result = JSON.parse(line) as ScenarioResult
          results.set(result.name, result)
        }
      }, 60_000)

      afterAll(() => {
        if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
      })

      test.each(Object.keys(mountScenarios))('%s', (name) => {
        expect(results.get(name)).toEqual({ name })
      })
    },
  )
})
