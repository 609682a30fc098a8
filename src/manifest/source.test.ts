import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeText, readSources } from './source.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-source-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

test('files are read in order, and - is standard input', async () => {
  const path = join(folder, 'a.yaml')
  await writeFile(path, 'kind: A\n')
  const { sources, problems } = await readSources(['-', path], chunks('kind:', ' B\n'))
  expect(problems).toEqual([])
  expect(sources).toEqual([
    { name: 'standard input', text: 'kind: B\n' },
    { name: path, text: 'kind: A\n' },
  ])
})

test('every file that cannot be read is told, and none hides another', async () => {
  const binary = join(folder, 'binary')
  await writeFile(binary, Buffer.from([0x6b, 0xff, 0xfe, 0x80]))
  const missing = join(folder, 'missing.yaml')
  const { problems } = await readSources([missing, folder, binary, '-', '-'], chunks(''))
  expect(problems).toEqual([
    { location: { source: missing }, message: 'no such file' },
    { location: { source: folder }, message: 'is a directory: name the files in it' },
    { location: { source: binary }, message: 'is not text in UTF-8' },
    { location: { source: 'standard input' }, message: 'is given twice' },
  ])
})

test('a device without an end is not read to its end', async () => {
  const { problems } = await readSources(['/dev/zero'], chunks())
  expect(problems).toEqual([{ location: { source: '/dev/zero' }, message: 'is larger than 16 MiB' }])
})

test('a byte order mark says the encoding and is no part of the text', () => {
  expect(decodeText(Buffer.from('\ufeffkind: Ä'))).toBe('kind: Ä')
  expect(decodeText(Buffer.from('\ufeffkind: Ä', 'utf16le'))).toBe('kind: Ä')
  expect(decodeText(Buffer.from('\ufeffkind: Ä', 'utf16le').swap16())).toBe('kind: Ä')
})
