import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { codeCacheOf, loadBundle } from './bundle.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podpass-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

function bundle(source: string): string {
  const path = join(folder, 'role.cjs')
  writeFileSync(path, source)
  return path
}

test('a bundle sees what a CommonJS module sees', () => {
  writeFileSync(join(folder, 'neighbour.cjs'), 'module.exports = 42')
  const path = bundle("module.exports = { neighbour: require('./neighbour.cjs'), __filename, __dirname }")
  const { exports } = loadBundle(path)
  expect(exports).toMatchObject({ neighbour: 42, __filename: path, __dirname: folder })
})

test('what it throws names its own file and line', () => {
  const path = bundle('\n\nexports.fail = () => { throw new Error("here") }')
  const { fail } = loadBundle(path).exports as { fail: () => void }
  let stack = ''
  try {
    fail()
  } catch (error) {
    stack = (error as Error).stack ?? ''
  }
  expect(stack).toContain(`${path}:3:`)
})

test('its code cache is taken, and that of another source is refused and does no harm', () => {
  const path = bundle('exports.answer = (() => 42)()')
  writeFileSync(codeCacheOf(path), loadBundle(path).script.createCachedData())
  const cached = loadBundle(path)
  expect(cached.script.cachedDataRejected).toBe(false)
  expect(cached.exports).toEqual({ answer: 42 })
  bundle('exports.answer = (() => "another")()')
  const other = loadBundle(path)
  expect(other.script.cachedDataRejected).toBe(true)
  expect(other.exports).toEqual({ answer: 'another' })
})
