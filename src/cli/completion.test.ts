import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { complete } from './completion-candidates.ts'
import { completionScripts, type Shell } from './completion-scripts.ts'
import { completionCommand } from './completion.ts'
import { driverCommand } from './driver.ts'
import { createProgram } from './program.ts'
import { tryCommand } from './try.ts'

const program = createProgram([driverCommand(), tryCommand(), completionCommand()])

/** The words that are offered, and the paths. */
function offered(...words: readonly string[]): readonly string[] {
  const { candidates, paths } = complete(program, words)
  return [...candidates.map(({ word }) => word), ...(paths === undefined ? [] : [`:${paths}`])]
}

test('commands are offered where one can stand', () => {
  expect(offered('')).toEqual(['driver', 'try', 'completion', 'help'])
  expect(offered('dr')).toEqual(['driver'])
  expect(offered('driver', '')).toEqual(['inspect', 'renew'])
  expect(offered('driver', '--node-id', 'inspect', 'in')).toEqual(['inspect'])
  expect(offered('completion', '')).toEqual(['bash', 'zsh', 'fish'])
  expect(offered('completion', 'bash', '')).toEqual([])
})

test('flags are those of the command, those that help hides not among them', () => {
  expect(offered('driver', 'inspect', '--')).toEqual(['--data-root', '--output', '--help'])
  expect(offered('driver', '--default-')).toEqual(['--default-duration', '--default-layout'])
  expect(offered('driver', '--tok')).toEqual([])
  // A DaemonSet of the Go driver names no command.
  expect(offered('--node-id=a', '--default-l')).toEqual(['--default-layout'])
  expect(offered('try', '--', '--')).toEqual([':files'])
})

test('values are offered where they are known', () => {
  expect(offered('driver', '--default-layout', '')).toEqual(['default', 'legacy'])
  expect(offered('driver', '--default-layout=l')).toEqual(['--default-layout=legacy'])
  expect(offered('driver', 'inspect', '-o', '')).toEqual(['table', 'json'])
  expect(offered('driver', '--require-san', '')).toEqual(['true', 'false'])
  expect(offered('driver', '--require-san=f')).toEqual(['--require-san=false'])
  expect(offered('driver', '--require-san', '--require-n')).toEqual(['--require-noswap'])
  expect(offered('driver', '--config', '')).toEqual([':files'])
  expect(offered('driver', '--data-root=/')).toEqual([':folders'])
  expect(offered('driver', '--node-id', '')).toEqual([])
  expect(offered('try', '')).toEqual([':files'])
  expect(offered('try', 'a.yaml', '')).toEqual([':files'])
  expect(offered('driver', 'renew', '')).toEqual([])
})

test('whatever the line is, what is offered begins with what is there', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'driver',
      'inspect',
      'try',
      '--',
      '-',
      '',
      '--config',
      '--default-layout',
      '--require-san=',
      '-o',
      '-v',
    ),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const { candidates } = complete(program, words)
      for (const candidate of candidates) expect(candidate.word.startsWith(words.at(-1) ?? '')).toBe(true)
    }),
  )
})

/** The first of some paths where a shell is. */
function find(shell: Shell): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.map((folder) => join(folder, shell)).find((path) => existsSync(path))
}

describe('in a shell', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podpass-completion-'))
    const main = JSON.stringify(join(import.meta.dirname, 'main.ts'))
    await writeFile(join(folder, 'podpass'), `#!/bin/sh\nexec ${JSON.stringify(process.execPath)} ${main} "$@"\n`)
    await chmod(join(folder, 'podpass'), 0o755)
    await mkdir(join(folder, 'files', 'a folder'), { recursive: true })
    await writeFile(join(folder, 'files', 'a file.yaml'), '')
  })

  afterAll(() => rm(folder, { recursive: true }))

  async function run(shell: string, script: string, ...args: readonly string[]): Promise<readonly string[]> {
    const env = { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}` }
    const { stdout } = await promisify(execFile)(shell, [...args, '-c', script], { env, cwd: join(folder, 'files') })
    return stdout.split('\n').filter((line) => line !== '')
  }

  /** What bash offers for a line with the cursor at its end, by the function that is registered for podpass. */
  async function inBash(line: string): Promise<readonly string[]> {
    const script = `
      source ./completion.bash
      COMP_LINE=${JSON.stringify(line)} COMP_POINT=${line.length}
      eval "$(complete -p podpass | sed -E 's/.*-F ([^ ]+).*/\\1/')"
      printf '%s\\n' "\${COMPREPLY[@]}"`
    return run(find('bash') ?? '', script, '--norc')
  }

  test.skipIf(find('bash') === undefined)('bash completes commands, flags, values, files and folders', async () => {
    await writeFile(join(folder, 'files', 'completion.bash'), completionScripts.bash)
    const lines: Readonly<Record<string, readonly string[]>> = {
      'podpass dri': ['driver'],
      'podpass driver ': ['inspect', 'renew'],
      // Bash has taken `=` for the end of a word, so only what comes behind it is replaced.
      'podpass driver --default-layout=': ['default', 'legacy'],
      'podpass try a': ['a folder', 'a file.yaml'],
      'podpass driver --data-root=a': ['a folder'],
    }
    const answers = await Promise.all(
      Object.keys(lines).map(async (line) => [line, (await inBash(line)).toSorted()] as const),
    )
    const expected = Object.entries(lines).map(([line, words]) => [line, words.toSorted()])
    expect(answers).toEqual(expected)
  })

  test.skipIf(find('zsh') === undefined)('zsh takes the script', async () => {
    expect(
      await run(find('zsh') ?? '', 'autoload -Uz compinit; compinit -u -D; source <(podpass completion zsh)'),
    ).toEqual([])
  })

  test.skipIf(find('fish') === undefined)('fish completes commands', async () => {
    const script = "podpass completion fish | source; complete -C 'podpass dri'"
    expect(await run(find('fish') ?? '', script, '--no-config')).toEqual([expect.stringMatching(/^driver\t/)])
  })
})

test('each script asks the program that it is for', () => {
  for (const script of Object.values(completionScripts)) expect(script).toContain('completion candidates -- ')
})
