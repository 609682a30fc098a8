import { glob, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

test('every test that docs/promises.md names exists, and every test of a promise is named there', async () => {
  const text = await readFile(join(root, 'docs/promises.md'), 'utf8')
  const named = [...text.matchAll(/`([\w./-]+\.test\.ts)`/g)].map(([, name = '']) => name)
  const tests = (await Array.fromAsync(glob('{src,test}/**/*.test.ts', { cwd: root }))).filter(
    (path) => !path.includes('node_modules'),
  )
  const known = new Set([...tests, ...tests.map((path) => basename(path))])
  expect(named.filter((name) => !known.has(name))).toEqual([])
  const own = tests.filter((path) => path.startsWith('test/promises/')).map((path) => basename(path))
  const isNamed = new Set(named.map((name) => basename(name)))
  expect(own.filter((name) => !isNamed.has(name) && name !== basename(import.meta.filename))).toEqual([])
})
