import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { executeTemplate } from './execute-template.ts'
import { corpus, refused, unsupported } from './fixtures/corpus.ts'
import { templateText } from './fixtures/template-text.ts'
import { context, pod, trialData } from './fixtures/trial-data.ts'
import { parseTemplate } from './parse-template.ts'
import { TemplateError } from './template-error.ts'

const directory = mkdtempSync(join(tmpdir(), 'go-template-'))
afterAll(() => rmSync(directory, { recursive: true }))

const program = buildProgram()

/** @returns undefined where there is no Go */
function buildProgram(): string | undefined {
  const built = join(directory, 'go-template')
  const { error, status, stderr } = spawnSync('go', ['build', '-o', built, '.'], {
    cwd: join(import.meta.dirname, 'fixtures/go-template'),
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '', GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' },
    encoding: 'utf8',
  })
  if (error !== undefined || /requires go >=/.test(stderr)) return undefined
  if (status !== 0) throw new Error(`the Go program does not build: ${stderr}`)
  return built
}

/** What came of a template: its text, or why there is none. */
type Result = { readonly text: string } | { readonly problem: string }

function resultsOfGo(templates: readonly string[]): readonly Result[] {
  const { stdout, stderr, error } = spawnSync(program ?? '', {
    input: JSON.stringify({ templates, context, pod }),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    timeout: 50_000,
  })
  expect(error).toBeUndefined()
  expect(stderr).toBe('')
  const answers = JSON.parse(stdout) as readonly { readonly output: string; readonly error: string }[]
  return answers.map(({ output, error }) =>
    error === '' ? { text: Buffer.from(output, 'base64').toString() } : { problem: error },
  )
}

function ownResult(template: string): Result {
  try {
    return { text: executeTemplate(parseTemplate(template), trialData) }
  } catch (error) {
    if (error instanceof TemplateError) return { problem: error.message }
    throw error
  }
}

/** What has a result in Go and none here: notes of Go's in the text, whole structures, bounds. */
const ownRules =
  /there is no value for the key|cannot be printed|is not supported for|no argument for|no place for|cuts a letter in two|is longer than/

/** What has a bound here and none in Go, where a template that calls itself twice goes on for ever. */
const bounds = /more than 10000 steps|too deep/

/** The templates for which Go has another result, with both. */
function differences(templates: readonly string[]): readonly unknown[] {
  const tried = templates
    .map((template) => ({ template, own: ownResult(template) }))
    .filter(({ own }) => !('problem' in own && bounds.test(own.problem)))
  const results = resultsOfGo(tried.map(({ template }) => template))
  return tried.flatMap(({ template, own }, index) => {
    const go = results[index]
    if (go === undefined) return [{ template }]
    if ('problem' in own && ('problem' in go || ownRules.test(own.problem))) return []
    return 'text' in own && 'text' in go && own.text === go.text ? [] : [{ template, go, own }]
  })
}

const { seed = 0 } = fc.readConfigureGlobal()

describe.skipIf(program === undefined)("Go's own text/template", () => {
  test('agrees with what is expected of each template', () => {
    const results = resultsOfGo(corpus.map(([template]) => template))
    for (const [index, [template, expected]] of corpus.entries()) {
      const go = results[index]
      expect([template, go !== undefined && 'text' in go ? go.text : undefined]).toEqual([template, expected])
    }
  })

  test('makes no name of what is refused here', () => {
    const results = resultsOfGo(refused)
    const names = refused.filter((_, index) => {
      const go = results[index]
      return go === undefined || ('text' in go && /^[A-Za-z0-9/._-]{1,200}$/.test(go.text))
    })
    expect(names).toEqual([])
  })

  test('has a result for what is not understood here', () => {
    expect(resultsOfGo(unsupported).filter((go) => 'problem' in go)).toEqual([])
  })

  test('gives the same results for templates of all kinds', () => {
    const templates = fc.sample(templateText, { seed, numRuns: 1500 })
    const withResult = templates.filter((template) => 'text' in ownResult(template))
    expect(withResult.length).toBeGreaterThan(150)
    expect(differences(templates), `seed ${seed}`).toEqual([])
  })

  test('reads and refuses the same templates where characters are missing or doubled', () => {
    const broken = fc
      .tuple(
        fc.oneof(templateText, fc.constantFrom(...corpus.map(([template]) => template))),
        fc.nat(),
        fc.constantFrom('', ' ', '.', '{{', '}}', '-', '"', '(', '|', '$', ':=', '\n'),
      )
      .map(([text, place, inserted]) => {
        const at = text.length === 0 ? 0 : place % text.length
        return text.slice(0, at) + inserted + text.slice(at + 1)
      })
    expect(differences(fc.sample(broken, { seed, numRuns: 1500 })), `seed ${seed}`).toEqual([])
  })
})
