import { createPrivateKey, X509Certificate } from 'node:crypto'
import { access, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  IssuerRefusedError,
  IssuerUnavailableError,
  RequestDeniedError,
  RequesterGoneError,
} from '../src/issuer/errors.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode, type TestVolume } from './support/node.ts'
import { ScriptedIssuer } from './support/scripted-issuer.ts'
import { until } from './support/until.ts'

// What the driver promises (docs/promises.md), on its socket, with the embedded CA. The same promises are kept on a real node in
// test/cluster.

let node: TestNode
let issuer: ScriptedIssuer

beforeEach(() => {
  issuer = new ScriptedIssuer({ clock: systemClock })
})

afterEach(() => node.close())

const hour = 3600_000

async function start(options: Partial<Parameters<typeof TestNode.start>[0]> = {}): Promise<void> {
  node = await TestNode.start({ issuerFor: () => issuer, ...options })
}

async function serialOf(volume: TestVolume): Promise<string> {
  return new X509Certificate(await node.read(volume, 'tls.crt')).serialNumber
}

/** All text of all files below a folder, which may change meanwhile. */
async function allText(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const read = files.map((file) => readFile(join(file.parentPath, file.name), 'utf8').catch(() => ''))
  return (await Promise.all(read)).join('\n')
}

describe('promise 1, the key', () => {
  test('a pod sees its files and nothing else of its volume', async () => {
    await start()
    const volume = await node.volume()
    await node.publish(volume)
    const visible = (await readdir(volume.target)).filter((name) => !name.startsWith('..'))
    expect(visible.sort()).toEqual(['ca.crt', 'tls.crt', 'tls.key'])
  })

  test('the stored state holds no key, no token and no password', async () => {
    await start()
    const volume = await node.volume({
      'csi.storage.k8s.io/serviceAccount.tokens':
        '{"":{"token":"secret-token","expirationTimestamp":"2999-01-01T00:00:00Z"}}',
      'csi.cert-manager.io/pkcs12-enable': 'true',
      'csi.cert-manager.io/pkcs12-password': 'secret-password',
    })
    await node.publish(volume)
    const state = await readFile(join(node.volumesFolder, volume.id, 'state.json'), 'utf8')
    expect(state).not.toMatch(/secret|PRIVATE KEY/)
    // What a renewal needs is kept apart, for its owner only.
    const pending = join(node.volumesFolder, volume.id, 'pending')
    expect(await readdir(pending)).toEqual(['passwords.json'])
    expect(((await stat(join(pending, 'passwords.json'))).mode & 0o777).toString(8)).toBe('600')
  })

  test('two volumes never share a key, and a renewal makes a new one', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const [one, other] = [await node.volume(), await node.volume()]
    await Promise.all([node.publish(one), node.publish(other)])
    const first = await node.read(one, 'tls.key')
    expect(await node.read(other, 'tls.key')).not.toBe(first)
    clock.advance(700 * hour)
    await until('the key has changed', async () => (await node.read(one, 'tls.key')) !== first)
  })
})

describe('promise 2, OK means OK', () => {
  const answers: readonly [
    string,
    RegExp,
    (signed: { chain: string; ca: string | undefined }) => { chain: string; ca: string | undefined },
  ][] = [
    ['nothing at all', /no certificate|empty/i, (signed) => ({ ...signed, chain: '' })],
    ['text that is no certificate', /certificate/i, (signed) => ({ ...signed, chain: 'hello' })],
    ['the CA itself, which has another key', /key/i, (signed) => ({ ...signed, chain: signed.ca ?? '' })],
  ]
  test.each(answers)(
    'an issuer that answers with %s is refused, and nothing is left',
    async (_what, message, answer) => {
      issuer.script = { answer }
      await start()
      const volume = await node.volume()
      await expect(node.publish(volume)).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
        details: expect.stringMatching(message) as string,
      })
      expect(await readdir(node.volumesFolder)).toEqual([])
      await expect(access(volume.target)).rejects.toThrow('ENOENT')
    },
  )

  test('without a CA the volume is served with an empty ca.crt and one warning', async () => {
    issuer.script = { answer: (signed) => ({ ...signed, ca: undefined }) }
    await start()
    const volume = await node.volume()
    await node.publish(volume)
    expect(await node.read(volume, 'ca.crt')).toBe('')
    expect(node.events).toEqual([expect.objectContaining({ type: 'Warning', reason: 'CertificateDiffers' })])
  })

  test('--strict-issuer refuses what else is only a warning', async () => {
    issuer.script = { answer: (signed) => ({ ...signed, ca: undefined }) }
    await start({ strictIssuer: true })
    await expect(node.publish(await node.volume())).rejects.toMatchObject({ code: status.FAILED_PRECONDITION })
  })

  test('two publishes at once both wait for the files', async () => {
    issuer.script = 'hold'
    await start()
    const volume = await node.volume()
    const both = [node.publish(volume), node.publish(volume)]
    await until('the request is there', () => issuer.requests.length > 0)
    await expect(access(volume.target)).rejects.toThrow('ENOENT')
    issuer.release()
    await Promise.all(both)
    expect(issuer.requests).toHaveLength(1)
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })
})

describe('promise 3, a live volume is never torn down', () => {
  test('a volume whose issuer is down keeps its certificate and answers republish with OK, also after expiry', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await serialOf(volume)
    issuer.script = { submit: () => new IssuerUnavailableError('the API server is away') }
    clock.advance(700 * hour)
    await until('the failure is told', () => node.events.find(({ reason }) => reason === 'RenewalFailed'))
    clock.advance(100 * hour)
    await node.publish(volume)
    expect(await serialOf(volume)).toBe(before)
  })

  test('a namespace that is gone ends renewal, and the files stay', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    issuer.script = { submit: () => new RequesterGoneError('namespace sandbox is gone') }
    clock.advance(700 * hour)
    await until('the failure is told', () => node.events.find(({ reason }) => reason === 'RenewalFailed'))
    expect(node.driver.inspect()[0]).toMatchObject({ state: 'issued', renewAt: undefined })
    const { submissions } = issuer
    clock.advance(100 * hour)
    expect(issuer.submissions).toBe(submissions)
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })

  test('a volume whose pod is gone from the host, target and folder, is cleaned up at the next start', async () => {
    await start()
    const [gone, live] = [await node.volume(), await node.volume()]
    await Promise.all([node.publish(gone), node.publish(live)])
    await node.stopDriver()
    await rm(gone.podFolder, { recursive: true })
    await node.startDriver()
    expect(await readdir(node.volumesFolder)).toEqual([live.id])
  })
})

describe('promise 5, unpublish always works', () => {
  test('it is idempotent, and a volume that nobody knows is gone already', async () => {
    await start()
    const volume = await node.volume()
    await node.publish(volume)
    await node.unpublish(volume)
    await node.unpublish(volume)
    await node.unpublish(await node.volume())
    expect(await readdir(node.volumesFolder)).toEqual([])
  })

  test('it ends an issuance in flight, leaves nothing, and has the request discarded', async () => {
    issuer.script = 'hold'
    await start()
    const volume = await node.volume()
    const publish = node.publish(volume)
    publish.catch(() => {})
    await until('the request is stored', async () => (await allText(node.volumesFolder)).includes('"handle":{'))
    await node.unpublish(volume)
    await expect(publish).rejects.toMatchObject({ code: status.UNAVAILABLE })
    expect(await readdir(node.volumesFolder)).toEqual([])
    expect(issuer.discarded).toEqual(issuer.requests.map(({ id }) => id))
  })

  test('an id with path parts reaches nothing but its target', async () => {
    await start()
    const live = await node.volume()
    await node.publish(live)
    for (const id of ['..', '../data', '.', `../volumes/${live.id}`]) {
      await node.unpublish({ id, target: join(node.folder, 'no', 'such') })
    }
    await expect(node.unpublish({ id: '', target: live.target })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    })
    expect(await node.read(live, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })
})

describe('promise 6, the socket is there before the API is', () => {
  test('a first publish waits for the CSIDriver object; what is there is served and unpublished without it', async () => {
    let obstacle: string | undefined
    await start({ obstacle: () => obstacle })
    const [known, fresh] = [await node.volume(), await node.volume()]
    await node.publish(known)
    obstacle = 'the CSIDriver object has not been read yet'
    await expect(node.publish(fresh)).rejects.toMatchObject({ code: status.UNAVAILABLE, details: obstacle })
    await node.publish(known)
    await node.unpublish(known)
    obstacle = undefined
    await node.publish(fresh)
  })
})

describe('promise 7, publish never blocks what it need not', () => {
  test('after the timeout the answer is UNAVAILABLE with the request and its state; the work goes on, and a retry finds it done', async () => {
    issuer.script = 'hold'
    await start({ publishTimeout: 1500 })
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(/local request [0-9a-f]{32}: held by the test/) as string,
    })
    issuer.release()
    await until('the certificate is there', () => node.driver.inspect()[0]?.issued)
    await node.publish(volume)
    expect(issuer.requests).toHaveLength(1)
  })

  test('a caller that gives up does not stop the issuance', async () => {
    issuer.script = 'hold'
    await start()
    const volume = await node.volume()
    await expect(node.publish(volume, 100)).rejects.toMatchObject({ code: expect.any(Number) as number })
    issuer.release()
    await node.publish(volume)
    expect(issuer.requests).toHaveLength(1)
  })

  test('an issuer that refuses the driver is told at once, and asked again', async () => {
    issuer.script = { submit: () => new IssuerRefusedError('certificaterequests is forbidden') }
    await start()
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: 'certificaterequests is forbidden',
    })
    issuer.release()
    await node.publish(volume)
  })

  test('a stop answers waiting calls at once', async () => {
    issuer.script = 'hold'
    await start()
    const publish = node.publish(await node.volume())
    publish.catch(() => {})
    await until('the request is there', () => issuer.requests.length > 0)
    await node.driver.close()
    await expect(publish).rejects.toMatchObject({ code: status.UNAVAILABLE, details: 'the driver is stopping' })
  })

  test('300 volumes that are never approved do not delay the 301st', async () => {
    await start()
    issuer.script = 'hold'
    const waiting = await Promise.all(Array.from({ length: 300 }, () => node.volume()))
    for (const volume of waiting) node.publish(volume).catch(() => {})
    await until('all requests are there', () => issuer.requests.length === 300)
    issuer.script = 'sign'
    const last = await node.volume()
    await node.publish(last)
    expect(node.driver.inspect().filter(({ issued }) => issued !== undefined)).toHaveLength(1)
  })
})

describe('promise 8, restarts are free', () => {
  test('a restart issues nothing anew and goes on with renewals', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await serialOf(volume)
    await node.stopDriver()
    await node.startDriver()
    await node.publish(volume)
    expect(issuer.requests).toHaveLength(1)
    clock.advance(700 * hour)
    await until('it is renewed', async () => (await serialOf(volume)) !== before)
  })

  test('a request in flight is resumed with its key', async () => {
    issuer.script = 'hold'
    await start({ publishTimeout: 1500 })
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({ code: status.UNAVAILABLE })
    await node.stopDriver()
    issuer.release()
    await node.startDriver()
    await node.publish(volume)
    expect(issuer.requests).toHaveLength(1)
    const certificate = new X509Certificate(await node.read(volume, 'tls.crt'))
    expect(certificate.checkPrivateKey(createPrivateKey(await node.read(volume, 'tls.key')))).toBe(true)
  })

  test('after a reboot the same volume gets a new key', async () => {
    await start()
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.read(volume, 'tls.key')
    await node.stopDriver()
    const state = join(node.volumesFolder, volume.id, 'state.json')
    const record = JSON.parse(await readFile(state, 'utf8')) as Record<string, unknown>
    await writeFile(state, JSON.stringify({ ...record, bootId: 'another' }))
    await node.startDriver()
    await node.publish(volume)
    expect(await node.read(volume, 'tls.key')).not.toBe(before)
  })

  test('a state file that cannot be read stops neither the start nor the volume', async () => {
    await start()
    const [broken, whole] = [await node.volume(), await node.volume()]
    await Promise.all([node.publish(broken), node.publish(whole)])
    const before = await serialOf(broken)
    await node.stopDriver()
    await writeFile(join(node.volumesFolder, broken.id, 'state.json'), '{"version":1,')
    await node.startDriver()
    expect(await serialOf(broken)).toBe(before)
    await node.publish(whole)
    await node.publish(broken)
    await node.unpublish(broken)
    expect(await readdir(node.volumesFolder)).toEqual([whole.id])
  })
})

describe('compatibility, volumes of the Go csi-driver', () => {
  /** Turns a published volume into what the former driver leaves: one memory for all, metadata.json, dated generations. */
  async function makeFormer(volume: TestVolume, metadata?: string): Promise<void> {
    const folder = join(node.folder, 'data', 'inmemfs', volume.id)
    await mkdir(folder, { recursive: true })
    await rename(join(node.volumesFolder, volume.id, 'data'), join(folder, 'data'))
    const generation = '..2026_08_22_10_11_12.123456789'
    await rename(join(folder, 'data', '..1'), join(folder, 'data', generation))
    await rm(join(folder, 'data', '..data'))
    await symlink(generation, join(folder, 'data', '..data'))
    const former = {
      volumeID: volume.id,
      targetPath: volume.target,
      nextIssuanceTime: '2026-09-01T00:00:00Z',
      volumeContext: volume.context,
    }
    await writeFile(join(folder, 'metadata.json'), metadata ?? JSON.stringify(former))
    await rm(join(node.volumesFolder, volume.id), { recursive: true })
    await rm(volume.target)
    await symlink(join(folder, 'data'), volume.target)
  }

  test('a volume of the former driver is taken over with its certificate, renewed in its folder, and unpublished', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    await node.stopDriver()
    await makeFormer(volume)
    const serial = await serialOf(volume)
    await node.startDriver()
    await node.publish(volume)
    expect(await serialOf(volume)).toBe(serial)
    clock.advance(700 * hour)
    await until('it is renewed', async () => (await serialOf(volume)) !== serial)
    await node.stopDriver()
    await node.startDriver()
    expect(node.driver.inspect()).toEqual([expect.objectContaining({ volumeId: volume.id, state: 'issued' })])
    await node.unpublish(volume)
    expect(await readdir(join(node.folder, 'data', 'inmemfs'))).toEqual([])
  })

  test('one whose metadata cannot be read stops nothing, keeps its files, and can be unpublished', async () => {
    await start()
    const volume = await node.volume()
    await node.publish(volume)
    await node.stopDriver()
    await makeFormer(volume, '{"volumeID":')
    const serial = await serialOf(volume)
    await node.startDriver()
    expect(await serialOf(volume)).toBe(serial)
    await node.unpublish(volume)
    expect(await readdir(join(node.folder, 'data', 'inmemfs'))).toEqual([])
  })
})

describe('promise 9, requests are ours or not touched', () => {
  test('a request is named by 128 random bits and stored with its key before the issuer hears of it', async () => {
    await start()
    let stored = ''
    issuer.script = {
      submit: () => {
        throw new IssuerUnavailableError('looking')
      },
    }
    const volume = await node.volume()
    const publish = node.publish(volume, 500)
    publish.catch(() => {})
    stored = await until('it is stored', async () => {
      const text = await allText(node.volumesFolder)
      return text.includes('PRIVATE KEY') && text.includes('"request":') && text
    })
    expect(stored).toMatch(/"id":"[0-9a-f]{32}"/)
    expect(issuer.requests).toEqual([])
    await expect(publish).rejects.toMatchObject({ code: expect.any(Number) as number })
  })

  test('a renewed volume has its old request discarded, and keeps the new one until its unpublish', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    clock.advance(700 * hour)
    await until('the old one is discarded', () => issuer.discarded.length > 0)
    const [old, current] = issuer.requests.map(({ id }) => id)
    expect(issuer.discarded).toEqual([old])
    expect(node.driver.isNeeded(volume.id, current ?? '')).toBe(true)
    expect(node.driver.isNeeded(volume.id, old ?? '')).toBe(false)
    await node.unpublish(volume)
    await until('the new one is discarded', () => issuer.discarded.length === 2)
  })
})

describe('promise 10, renewal', () => {
  test('it starts after two thirds of the lifetime, spread, and never before', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume({ 'csi.cert-manager.io/duration': '30h' })
    await node.publish(volume)
    const report = node.driver.inspect()[0]
    const into = (report?.renewAt ?? 0) - (report?.issued?.notBefore ?? 0)
    expect(into).toBeGreaterThan(18.9 * hour)
    expect(into).toBeLessThanOrEqual(20.1 * hour)
  })

  test('a failed renewal is tried again until it succeeds, also after expiry, and each failure is told', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await serialOf(volume)
    issuer.script = { wait: () => new IssuerUnavailableError('the issuer is not ready') }
    clock.advance(700 * hour)
    for (let failures = 1; failures <= 5; failures++) {
      await until('it failed', () => node.events.filter(({ reason }) => reason === 'RenewalFailed').length >= failures)
      clock.advance(hour)
    }
    clock.advance(100 * hour)
    issuer.release()
    await until('it is renewed', async () => {
      clock.advance(hour)
      return (await serialOf(volume)) !== before
    })
    expect(issuer.requests).toHaveLength(2)
  })

  test('disable-auto-renew is honoured, also after a restart', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume({ 'csi.cert-manager.io/disable-auto-renew': 'true' })
    await node.publish(volume)
    await node.stopDriver()
    await node.startDriver()
    expect(node.driver.inspect()[0]).toMatchObject({ state: 'issued', renewAt: undefined })
    clock.advance(10_000 * hour)
    expect(issuer.requests).toHaveLength(1)
  })

  test('reuse-private-key keeps the key over a renewal', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume({ 'csi.cert-manager.io/reuse-private-key': 'true' })
    await node.publish(volume)
    const [key, serial] = [await node.read(volume, 'tls.key'), await serialOf(volume)]
    clock.advance(700 * hour)
    await until('it is renewed', async () => (await serialOf(volume)) !== serial)
    expect(await node.read(volume, 'tls.key')).toBe(key)
  })

  test('a renewal in the name of a pod whose token has ended waits for the next republish, and is told after five minutes', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    issuer.needsToken = true
    await start({ clock })
    const volume = await node.volume()
    const tokens = (token: string, expires: number) => ({
      'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify({
        '': { token, expirationTimestamp: new Date(expires).toISOString() },
      }),
    })
    await expect(node.publish(volume)).rejects.toMatchObject({ code: status.UNAVAILABLE })
    await node.publish({ ...volume, context: { ...volume.context, ...tokens('first', clock.now() + hour) } })
    const serial = await serialOf(volume)
    clock.advance(700 * hour)
    await until('the renewal waits', () => node.driver.inspect()[0]?.state === 'issued')
    expect(node.events.filter(({ reason }) => reason === 'RenewalFailed')).toEqual([])
    clock.advance(5 * 60_000)
    await until('it is told', () => node.events.find(({ reason }) => reason === 'RenewalFailed'))
    await node.publish({ ...volume, context: { ...volume.context, ...tokens('second', clock.now() + hour) } })
    clock.advance(0)
    await until('it is renewed', async () => (await serialOf(volume)) !== serial)
    expect(issuer.tokens).toEqual(['first', 'second'])
  })

  test('a wall clock that jumps over the time of renewal is noticed within an hour of running time', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    await start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const serial = await serialOf(volume)
    clock.jump(700 * hour)
    expect(clock.next).toBeLessThanOrEqual(hour)
    clock.advance(hour)
    await until('it is renewed', async () => (await serialOf(volume)) !== serial)
  })
})

describe('promise 11, a denial is no hot loop', () => {
  test('20 publishes after a denial make one request, and each answers the same text', async () => {
    issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'not on my watch') }
    await start()
    const volume = await node.volume()
    for (let attempt = 0; attempt < 20; attempt++) {
      await expect(node.publish(volume)).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
        details: expect.stringContaining('was denied: not on my watch') as string,
      })
    }
    expect(issuer.requests).toHaveLength(1)
    expect(await readdir(node.volumesFolder)).toEqual([])
    expect(issuer.discarded).toEqual([])
    await node.unpublish(volume)
    expect(issuer.discarded).toHaveLength(1)
  })

  test('the wait doubles from a minute', async () => {
    const clock = new ManualClock()
    issuer = new ScriptedIssuer({ clock })
    issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'no') }
    await start({ clock })
    const volume = await node.volume()
    const publish = () => expect(node.publish(volume)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION })
    await publish()
    clock.advance(59_000)
    await publish()
    expect(issuer.requests).toHaveLength(1)
    clock.advance(1000)
    await publish()
    expect(issuer.requests).toHaveLength(2)
    clock.advance(119_000)
    await publish()
    expect(issuer.requests).toHaveLength(2)
    clock.advance(1000)
    await publish()
    expect(issuer.requests).toHaveLength(3)
  })
})

describe('promise 12, everything is checked up front', () => {
  test('all errors of a volume come in one answer, before any key or request exists', async () => {
    await start()
    const volume = await node.volume({
      'csi.cert-manager.io/issuer-name': '',
      'csi.cert-manager.io/duration': '5d',
      'csi.cert-manager.io/is-ca': 'yes',
      'csi.cert-manager.io/key-usages': 'sever auth',
      'csi.cert-manager.io/key-size': '257',
      'csi.cert-manager.io/fs-group': '-1',
      'csi.cert-manager.io/ip-sans': '1.2.3',
      'csi.cert-manager.io/common-name': '${POD_NAMES}',
      'csi.cert-manager.io/ca-file': '../ca.crt',
    })
    const details = await node.publish(volume).then(
      () => '',
      (error: { code: number; details: string }) => {
        expect(error.code).toBe(status.INVALID_ARGUMENT)
        return error.details
      },
    )
    for (const attribute of [
      'issuer-name',
      'duration',
      'is-ca',
      'key-usages',
      'key-size',
      'fs-group',
      'ip-sans',
      'common-name',
      'ca-file',
    ]) {
      expect(details).toContain(`csi.cert-manager.io/${attribute}: `)
    }
    expect(details).toContain('did you mean "server auth"')
    expect(details).toContain('did you mean POD_NAME')
    expect(issuer.submissions).toBe(0)
    expect(await readdir(node.volumesFolder)).toEqual([])
  })

  test('an unknown attribute is told with what was meant', async () => {
    await start()
    await node.publish(await node.volume({ 'csi.cert-manager.io/dns-name': 'a.example' }))
    expect(node.events).toEqual([
      expect.objectContaining({
        reason: 'VolumeAttribute',
        message: expect.stringContaining('did you mean csi.cert-manager.io/dns-names?') as string,
      }),
    ])
  })
})
