import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findLeftovers } from './leftovers.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'podpass-left-'))
  await mkdir(join(root, 'data', 'volumes'), { recursive: true })
  await mkdir(join(root, 'kubelet'))
  await writeFile(join(root, 'data', 'lock'), '')
})
afterEach(() => rm(root, { recursive: true, force: true }))

test('an empty data root, its lock and an empty kubelet folder are nothing', async () => {
  expect(await findLeftovers(root, [])).toEqual({ volumes: [], mounts: [], files: [], sockets: [] })
})

test('whatever else is there is found', async () => {
  const server = createServer().listen(join(root, 'csi.sock'))
  await once(server, 'listening')
  await mkdir(join(root, 'data', 'volumes', 'csi-1'))
  await writeFile(join(root, 'data', 'volumes', 'csi-1', 'key.pem'), '')
  await mkdir(join(root, 'kubelet', 'pods'))
  try {
    expect(await findLeftovers(root, ['a: no'])).toEqual({
      volumes: ['a: no'],
      mounts: [],
      files: expect.arrayContaining([
        join(root, 'data/volumes/csi-1'),
        join(root, 'data/volumes/csi-1/key.pem'),
        join(root, 'kubelet/pods'),
      ]) as string[],
      sockets: [join(root, 'csi.sock')],
    })
  } finally {
    server.close()
  }
})
