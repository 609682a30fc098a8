import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createLog, type LogLevel } from './log.ts'

/** What a program that has a log writes, one object a line. */
async function linesOf(level: LogLevel, source: string): Promise<Record<string, unknown>[]> {
  const module = JSON.stringify(join(import.meta.dirname, 'log.ts'))
  const code = `const { createLog } = await import(${module}); const log = createLog('${level}'); ${source}`
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])
  expect(stdout).toBe('')
  return stderr
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

test('lines are JSON on standard error, with the time, the level and the fields', async () => {
  const [line, ...others] = await linesOf('info', `log.info({ volume: 'csi-1' }, 'certificate issued')`)
  expect(others).toEqual([])
  expect(line).toEqual({ level: 'info', time: line?.['time'], volume: 'csi-1', message: 'certificate issued' })
  expect(new Date(String(line?.['time'])).toISOString()).toBe(line?.['time'])
})

test.each([
  ['debug', ['debug', 'info', 'warn', 'error']],
  ['info', ['info', 'warn', 'error']],
  ['warn', ['warn', 'error']],
  ['error', ['error']],
  ['silent', []],
] as const)('at the level %s nothing below it is written', async (level, written) => {
  const source = `for (const name of ['debug', 'info', 'warn', 'error']) log[name]({}, name)`
  expect((await linesOf(level, source)).map(({ message }) => message)).toEqual(written)
})

test('a child has its own fields beside those of its parent', async () => {
  const [line] = await linesOf('info', `log.child({ volume: 'csi-1' }).child({ pod: 'a/b' }).warn({ code: 1 }, 'x')`)
  expect(line).toMatchObject({ level: 'warn', volume: 'csi-1', pod: 'a/b', code: 1 })
})

test('an error is written with its kind, its typed fields and all its causes', async () => {
  const source = `
    class RequestDeniedError extends Error { name = 'RequestDeniedError'; code = 'REQUEST_DENIED' }
    const low = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    log.error({ error: new RequestDeniedError('denied', { cause: new TypeError('middle', { cause: low }) }) }, 'issuance failed')`
  const [line] = await linesOf('info', source)
  expect(line).toMatchObject({
    message: 'issuance failed',
    error: {
      type: 'RequestDeniedError',
      message: 'denied',
      code: 'REQUEST_DENIED',
      cause: { type: 'TypeError', message: 'middle', cause: { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' } },
    },
  })
  expect(JSON.stringify(line)).toContain('at ')
})

test('what is thrown and is no error is written as it is', async () => {
  const [line] = await linesOf('info', `log.error({ error: 'text' }, 'x')`)
  expect(line).toMatchObject({ error: 'text' })
})

test('the last line is written, whatever ends the process', async () => {
  const module = JSON.stringify(join(import.meta.dirname, 'log.ts'))
  const code = `const { createLog } = await import(${module}); createLog('info').error({}, 'last words'); process.kill(process.pid, 'SIGKILL')`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])
  await expect(run).rejects.toMatchObject({
    signal: 'SIGKILL',
    stderr: expect.stringContaining('last words') as string,
  })
})

test('a log goes to a file, behind what is there, as pairs of key and value', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'log-'))
  try {
    const path = join(folder, 'registrar.log')
    for (const message of ['one', 'two words'])
      createLog('info', { format: 'text', path }).warn({ pod: 'shop/web-0', count: 2, left: ['a'] }, message)
    expect((await readFile(path, 'utf8')).replaceAll(/^time=[^ ]+Z/gm, 'time=T')).toBe(
      'time=T level=warn msg=one pod=shop/web-0 count=2 left="[\\"a\\"]"\n' +
        'time=T level=warn msg="two words" pod=shop/web-0 count=2 left="[\\"a\\"]"\n',
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a log whose file cannot be opened is none', () => {
  expect(() => createLog('info', { format: 'json', path: '/nowhere/at/all.log' })).toThrow(/ENOENT/)
})
