import * as fc from 'fast-check'
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writePayload } from '../volume/payload-writer.ts'
import { formatMode, listFiles, readCredentials, viewVolume } from './pod-view.ts'
import { sampleAuthority, sampleCredentials, samplePlanned } from './sample.ts'

const run = promisify(execFile)
const authority = sampleAuthority('ca-issuer')
const { spec } = samplePlanned('app')
const credentials = sampleCredentials(authority, spec.names)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-view-'))
  const files = new Map([
    ['tls.crt', credentials.certificate],
    ['tls.key', credentials.privateKey],
    ['ca.crt', credentials.ca],
    ['deep/er/copy.crt', credentials.certificate],
  ])
  await writePayload(folder, { files, links: new Map([['key.pem', 'tls.key']]) }, undefined)
})
afterAll(async () => {
  await run('chmod', ['-R', 'u+w', folder])
  await rm(folder, { recursive: true, force: true })
})

test('every name that a container can open is listed, further names with what they stand for', async () => {
  const files = await listFiles(folder)
  expect(files.map(({ path, link }) => [path, link])).toEqual([
    ['ca.crt', undefined],
    ['deep/er/copy.crt', undefined],
    ['key.pem', 'tls.key'],
    ['tls.crt', undefined],
    ['tls.key', undefined],
  ])
  expect(files[0]).toMatchObject({ mode: '-r--r-----', size: credentials.ca.length, uid: process.geteuid?.() })
})

test('the files are read as they are', async () => {
  expect(await readCredentials(folder, spec)).toEqual(credentials)
})

test('key, certificate and chain are looked at', async () => {
  const mounts = [
    {
      device: '0:1',
      root: '/',
      mountPoint: folder,
      options: ['ro', 'nosuid'],
      shared: false,
      type: 'tmpfs',
      superOptions: ['rw', 'noswap'],
    },
  ]
  const view = await viewVolume(folder, spec, mounts, Date.now())
  expect(view).toMatchObject({
    mount: { type: 'tmpfs', options: ['ro', 'nosuid', 'noswap'] },
    key: { algorithm: 'ECDSA', size: 256 },
    keyMatches: true,
    chain: { ok: true },
  })
  expect(view.leaf.names.dns).toEqual(['app.sandbox.svc'])
})

test('a key of another certificate and a chain to nowhere are seen', async () => {
  const other = await mkdtemp(join(tmpdir(), 'podpass-view-'))
  try {
    const stranger = sampleCredentials(sampleAuthority('other'), spec.names)
    const files = new Map([
      ['tls.crt', credentials.certificate],
      ['tls.key', stranger.privateKey],
      ['ca.crt', stranger.ca],
    ])
    await writePayload(other, { files, links: new Map() }, undefined)
    expect(await viewVolume(other, spec, [], Date.now())).toMatchObject({
      mount: undefined,
      keyMatches: false,
      chain: { ok: false },
    })
  } finally {
    await run('chmod', ['-R', 'u+w', other])
    await rm(other, { recursive: true, force: true })
  }
})

test('modes are written as ls writes them', async () => {
  const path = join(folder, '..', `podpass-mode-${process.pid}`)
  await run('touch', [path])
  try {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 0o777 }), async (mode) => {
        await chmod(path, mode)
        const { stdout } = await run('ls', ['-l', path])
        expect(stdout.slice(0, 10)).toBe(formatMode(mode))
      }),
      { numRuns: 25 },
    )
  } finally {
    await rm(path)
  }
})
