import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { IssuanceRequest, RequestHandle } from '../issuer/issuer.ts'
import { encodePrivateKey, generateKeySync } from '../x509/key.ts'
import { kubeletKeys } from './attributes.ts'
import { sanitizeContext } from './passwords.ts'
import { type Pending, StoreError, type VolumeRecord, VolumeStore } from './store.ts'

let folder: string
let store: VolumeStore

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-'))
  const directory = join(folder, 'csi-1')
  await mkdir(directory)
  store = new VolumeStore(directory)
  await store.prepare()
})

afterEach(() => rm(folder, { recursive: true, force: true }))

const handle: RequestHandle = {
  id: '0f3c',
  name: 'CertificateRequest sandbox/podpass-0f3c',
  reference: { namespace: 'sandbox', uid: 'u' },
}

const record: VolumeRecord = {
  version: 1,
  bootId: 'boot',
  volumeId: 'csi-1',
  target: '/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/tls/mount',
  context: { 'csi.cert-manager.io/issuer-name': 'ca', [kubeletKeys.podName]: 'web-0' },
  mountGroup: '2000',
  shown: true,
  issued: { notBefore: 1, notAfter: 2, serial: '0a', renewAt: 1.5, handle },
}

const request: IssuanceRequest = {
  id: '0f3c',
  volumeId: 'csi-1',
  pod: { namespace: 'sandbox', name: 'web-0', uid: 'u', serviceAccount: 'web' },
  issuer: { name: 'ca', kind: 'Issuer', group: 'cert-manager.io' },
  csr: '-----BEGIN CERTIFICATE REQUEST-----\n',
  usages: ['digital signature', 'server auth'],
  isCA: false,
  duration: 3600_000.5,
  annotations: { 'example.com/a': 'b' },
}

const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
const pending: Pending = { request, key, handle: undefined }

const stateFile = (): string => join(store.directory, 'state.json')
const pendingFile = (name: string): string => join(store.directory, 'pending', name)

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o7777).toString(8)
}

test('a fresh volume has its folders, which only their owner enters', async () => {
  expect(await readdir(store.directory)).toEqual(['data', 'pending'])
  expect(await modeOf(store.directory)).toBe('700')
  expect(await modeOf(join(store.directory, 'pending'))).toBe('700')
  await store.prepare()
  expect(await store.read()).toBeUndefined()
  expect(await store.readPending()).toBeUndefined()
})

describe('the record', () => {
  test('comes back as it was written, also without what is optional', async () => {
    await store.write(record)
    expect(await store.read()).toEqual(record)
    const { issued: _issued, mountGroup: _group, ...bare } = record
    await store.write({ ...bare, shown: false })
    expect(await store.read()).toEqual({ ...bare, shown: false })
  })

  test('is for its owner only, and written beside no other file', async () => {
    await store.write(record)
    await store.write(record)
    expect(await modeOf(stateFile())).toBe('600')
    expect((await readdir(store.directory)).sort()).toEqual(['data', 'pending', 'state.json'])
  })

  test('of a context that holds secrets has none of them', async () => {
    const context = {
      ...record.context,
      [kubeletKeys.tokens]: '{"":{"token":"eyJ-secret"}}',
      'csi.cert-manager.io/pkcs12-password': 'hunter2-secret',
    }
    await store.write({ ...record, context: sanitizeContext(context) })
    await store.writePending(pending)
    for (const file of [stateFile(), pendingFile('request.json')]) {
      expect(await readFile(file, 'utf8')).not.toMatch(/secret|PRIVATE KEY/)
    }
  })

  test.each([
    ['nothing', ''],
    ['half of it', JSON.stringify(record).slice(0, 100)],
    ['no JSON', 'not json'],
    ['no object', '[]'],
    ['null', 'null'],
    ['a later version', JSON.stringify({ ...record, version: 2 })],
    ['a field too few', JSON.stringify({ ...record, target: undefined })],
    ['a field of another kind', JSON.stringify({ ...record, context: { a: 1 } })],
    ['an odd certificate', JSON.stringify({ ...record, issued: { notBefore: 'x' } })],
  ])('with %s in its file cannot be read, and the error says which file', async (_what, text) => {
    await writeFile(stateFile(), text)
    await expect(store.read()).rejects.toThrow(new StoreError(`${stateFile()} does not have the form of this version`))
    await store.write(record)
    expect(await store.read()).toEqual(record)
  })

  test('that cannot be reached is not one that is missing', async () => {
    await mkdir(stateFile())
    await expect(store.read()).rejects.toMatchObject({ code: 'EISDIR' })
  })
})

describe('a request on its way', () => {
  test('comes back with its key, before and after the issuer has it', async () => {
    await store.writePending(pending)
    const read = await store.readPending()
    expect(read).toMatchObject({ request, handle: undefined })
    expect(read?.key.equals(key)).toBe(true)
    await store.writeHandle(request, handle)
    const submitted = await store.readPending()
    expect(submitted).toMatchObject({ request, handle })
    expect(submitted?.key.equals(key)).toBe(true)
  })

  test('is for its owner only', async () => {
    await store.writePending(pending)
    expect((await readdir(join(store.directory, 'pending'))).sort()).toEqual(['key.pem', 'request.json'])
    expect(await modeOf(pendingFile('key.pem'))).toBe('600')
    expect(await modeOf(pendingFile('request.json'))).toBe('600')
  })

  test('of any kind of key comes back', async () => {
    for (const spec of [{ algorithm: 'RSA', size: 2048 }, { algorithm: 'Ed25519' }] as const) {
      const other = generateKeySync(spec)
      await store.writePending({ ...pending, key: other })
      expect((await store.readPending())?.key.equals(other)).toBe(true)
    }
  })

  test('is never found with the key of another, wherever a crash comes between', async () => {
    await store.writePending(pending)
    const other = generateKeySync({ algorithm: 'ECDSA', size: 256 })
    // A folder in the place of the file that is written last stands for the crash before it.
    await rm(pendingFile('.request.json.new'), { force: true })
    await mkdir(join(pendingFile('.request.json.new'), 'in the way'), { recursive: true })
    await expect(store.writePending({ ...pending, request: { ...request, id: '1a2b' }, key: other })).rejects.toThrow(
      /./,
    )
    expect(await store.readPending()).toBeUndefined()
  })

  test('without its key is none', async () => {
    await store.writePending(pending)
    await rm(pendingFile('key.pem'))
    expect(await store.readPending()).toBeUndefined()
  })

  test.each(['request.json', 'key.pem'])(
    'with a damaged %s cannot be read, and no error quotes the key',
    async (file) => {
      await store.writePending(pending)
      const text = await readFile(pendingFile(file), 'utf8')
      await writeFile(pendingFile(file), text.slice(0, text.length / 2))
      const error: unknown = await store.readPending().catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(StoreError)
      expect(String(error)).toContain(pendingFile(file))
      const secret = encodePrivateKey(key, 'PKCS8').split('\n')[1] ?? ''
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
        expect(`${cause.message} ${JSON.stringify(cause)}`).not.toContain(secret.slice(0, 16))
      }
      await store.clearPending()
      expect(await store.readPending()).toBeUndefined()
    },
  )

  test('is gone once it is cleared, its key too, and may be cleared again', async () => {
    await store.writePending(pending)
    await store.clearPending()
    await store.clearPending()
    expect(await readdir(join(store.directory, 'pending'))).toEqual([])
  })
})

describe('the passwords of a volume', () => {
  const passwords = { 'csi.cert-manager.io/pkcs12-password': 'pässword', 'csi.cert-manager.io/jks-password': 'b' }

  test('come back as they were written, and are for their owner only', async () => {
    expect(await store.readPasswords()).toEqual({})
    await store.writePasswords(passwords)
    expect(await store.readPasswords()).toEqual(passwords)
    expect(await modeOf(pendingFile('passwords.json'))).toBe('600')
  })

  test('make no file where there are none', async () => {
    await store.writePasswords({})
    expect(await readdir(join(store.directory, 'pending'))).toEqual([])
  })

  test('stay when a request is over, and go with the volume', async () => {
    await store.writePasswords(passwords)
    await store.writePending(pending)
    await store.clearPending()
    expect(await store.readPasswords()).toEqual(passwords)
    await store.wipe()
    expect(await readdir(store.directory)).toEqual([])
  })

  test.each(['{"a": hunter2', '[["hunter2"]]', 'hunter2', '{"a":{"b":"hunter2"}}'])(
    'that are damaged cannot be read, and no error quotes them',
    async (text) => {
      await writeFile(pendingFile('passwords.json'), text)
      const error: unknown = await store.readPasswords().catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(StoreError)
      expect(inspect(error, { depth: null, showHidden: true })).toContain(pendingFile('passwords.json'))
      expect(inspect(error, { depth: null, showHidden: true })).not.toContain('hunter2')
    },
  )
})

describe('the end of a volume', () => {
  test('leaves nothing of it', async () => {
    await store.write(record)
    await store.writePending(pending)
    await writeFile(join(store.directory, 'left by a crash'), 'x')
    await store.wipe()
    expect(await readdir(store.directory)).toEqual([])
    await store.remove()
    expect(await readdir(folder)).toEqual([])
  })

  test('may come twice', async () => {
    await store.wipe()
    await store.remove()
    await store.wipe()
    await store.remove()
    expect(await readdir(folder)).toEqual([])
  })

  test('does not pass over what it cannot see', async () => {
    const odd = new VolumeStore(join(folder, 'file'))
    await writeFile(join(folder, 'file'), '')
    await expect(odd.wipe()).rejects.toMatchObject({ code: 'ENOTDIR' })
  })
})
