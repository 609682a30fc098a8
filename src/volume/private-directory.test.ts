import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { privateDirectory } from './private-directory.ts'

let folder: string
let directory: string
let source: string
let target: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-'))
  directory = join(folder, 'volumes', 'csi-1')
  source = join(directory, 'data')
  target = join(folder, 'mount')
  await privateDirectory.mountPrivate(directory, { size: 1024 })
  await mkdir(source)
  await writeFile(join(source, 'tls.key'), 'key')
})

afterEach(() => rm(folder, { recursive: true, force: true }))

test('the private folder is for its owner only, and promises nothing about swap', async () => {
  expect(await privateDirectory.mountPrivate(directory, { size: 1024 })).toEqual({ noswap: false })
  expect((await stat(directory)).mode & 0o7777).toBe(0o700)
  expect(await privateDirectory.isPrivate(directory)).toBe(true)
  expect(await privateDirectory.isPrivate(join(folder, 'missing'))).toBe(false)
  expect(await privateDirectory.isPrivate(join(source, 'tls.key'))).toBe(false)
})

test('a target shows the files, however often it is asked for, and in the place of an empty folder', async () => {
  await mkdir(target)
  expect(await privateDirectory.shows(source, target)).toBe('nothing')
  await privateDirectory.show(source, target)
  await privateDirectory.show(source, target)
  expect(await privateDirectory.shows(source, target)).toBe('exactly')
  expect(await readFile(join(target, 'tls.key'), 'utf8')).toBe('key')
  expect(await readdir(folder)).toEqual(['mount', 'volumes'])
})

test('a target that shows something else is put right', async () => {
  await symlink(folder, target)
  expect(await privateDirectory.shows(source, target)).toBe('something else')
  await privateDirectory.show(source, target)
  expect(await privateDirectory.shows(source, target)).toBe('exactly')
})

test('a folder with files in it is not replaced', async () => {
  await mkdir(target)
  await writeFile(join(target, 'precious'), '')
  await expect(privateDirectory.show(source, target)).rejects.toMatchObject({ code: 'ENOTEMPTY' })
  expect(await readdir(target)).toEqual(['precious'])
})

test('unmounting takes the link away, and nothing else', async () => {
  expect(await privateDirectory.unmount(target)).toBe(false)
  await privateDirectory.show(source, target)
  expect(await privateDirectory.unmount(target)).toBe(true)
  expect(await privateDirectory.unmount(target)).toBe(false)
  expect(await privateDirectory.unmount(directory)).toBe(false)
  expect(await readFile(join(source, 'tls.key'), 'utf8')).toBe('key')
})
