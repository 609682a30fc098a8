import * as fc from 'fast-check'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { VolumeStore } from '../volume/store.ts'
import { AdoptionError, readFormerVolume } from './former-metadata.ts'

const token = 'a-token-of-the-pod'
const metadata = {
  volumeID: 'csi-1',
  targetPath: '/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/tls/mount',
  nextIssuanceTime: '2026-09-01T00:00:00.123456789Z',
  volumeContext: {
    'csi.cert-manager.io/issuer-name': 'ca',
    'csi.cert-manager.io/pkcs12-enable': 'true',
    'csi.cert-manager.io/pkcs12-password': 'a-password',
    'csi.storage.k8s.io/ephemeral': 'true',
    'csi.storage.k8s.io/pod.name': 'web-0',
    'csi.storage.k8s.io/pod.namespace': 'sandbox',
    'csi.storage.k8s.io/pod.uid': 'uid-1',
    'csi.storage.k8s.io/serviceAccount.name': 'web',
    'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify({ '': { token, expirationTimestamp: '2026-09-01' } }),
  },
  volumeMountGroup: '2000',
}

let folder: string
let store: VolumeStore

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podpass-'))
  store = new VolumeStore(join(folder, 'csi-1'))
  mkdirSync(store.directory)
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(text: string): void {
  writeFileSync(join(store.directory, 'metadata.json'), text)
}

test('metadata is read as a record without token and password, and the password beside it', async () => {
  write(JSON.stringify(metadata))
  const former = await readFormerVolume(store, 'boot-1')
  expect(former).toEqual({
    record: {
      version: 1,
      bootId: 'boot-1',
      volumeId: 'csi-1',
      target: metadata.targetPath,
      context: expect.objectContaining({ 'csi.storage.k8s.io/pod.name': 'web-0' }) as object,
      mountGroup: '2000',
      shown: false,
    },
    passwords: { 'csi.cert-manager.io/pkcs12-password': 'a-password' },
  })
  expect(JSON.stringify(former?.record)).not.toMatch(/a-token|a-password/)
})

test('of the file only the token goes, at once, and its mode stays', async () => {
  write(JSON.stringify({ ...metadata, someFieldOfLater: [1] }))
  await readFormerVolume(store, 'boot-1')
  const text = readFileSync(join(store.directory, 'metadata.json'), 'utf8')
  const { 'csi.storage.k8s.io/serviceAccount.tokens': _token, ...volumeContext } = metadata.volumeContext
  expect(JSON.parse(text)).toEqual({ ...metadata, volumeContext, someFieldOfLater: [1] })
  expect(statSync(join(store.directory, 'metadata.json')).mode & 0o777).toBe(0o600)
  expect(readdirSync(store.directory)).toEqual(['metadata.json'])
})

test('metadata without a token is left as it is, to the byte', async () => {
  const text = JSON.stringify({ ...metadata, volumeContext: {} }, undefined, 1)
  write(text)
  await readFormerVolume(store, 'boot-1')
  expect(readFileSync(join(store.directory, 'metadata.json'), 'utf8')).toBe(text)
})

test('an empty context, which Go leaves out, is a volume without attributes', async () => {
  const { volumeContext: _context, volumeMountGroup: _group, ...rest } = metadata
  write(JSON.stringify(rest))
  const former = await readFormerVolume(store, 'boot-1')
  expect(former?.record).toMatchObject({ context: {}, target: metadata.targetPath })
})

test('without metadata there is no volume', async () => {
  expect(await readFormerVolume(store, 'boot-1')).toBeUndefined()
})

test('metadata of which any part is missing is an error that quotes none of it, and names the pod where it still does', async () => {
  const text = JSON.stringify(metadata)
  const uidAt = text.indexOf('"uid-1"') + '"uid-1"'.length
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: text.length - 1 }), async (length) => {
      write(text.slice(0, length))
      const error: unknown = await readFormerVolume(store, 'boot-1').catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(AdoptionError)
      expect(inspect(error, { depth: null })).not.toMatch(/a-token|a-password/)
      const known = { name: 'web-0', namespace: 'sandbox', uid: 'uid-1' }
      const { name, namespace, uid } = (error as AdoptionError).pod ?? {}
      expect({ name, namespace, uid }).toEqual(length >= uidAt ? known : {})
    }),
  )
})

test('any other text is an error too, whatever JSON it is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
      write(text)
      await expect(readFormerVolume(store, 'boot-1')).rejects.toBeInstanceOf(AdoptionError)
    }),
  )
})
