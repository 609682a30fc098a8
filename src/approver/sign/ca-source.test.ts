import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { now, testAuthority } from '../../x509/test-pki.ts'
import { CaShelf } from './ca-shelf.ts'
import { materialOf, openCaSource } from './ca-source.ts'
import { materialOfChain } from './fixtures/certificate-authorities.ts'
import { readSigningCa } from './signing-ca.ts'

afterEach(async () => {
  for (const close of cleanups.splice(0).reverse()) await close()
})
const cleanups: (() => Promise<void>)[] = []

test('files are read, and read again when they change; what cannot be used changes nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'podpass-ca-'))
  cleanups.push(() => rm(directory, { recursive: true }))
  const files = { certificate: join(directory, 'tls.crt'), key: join(directory, 'tls.key') }
  const put = async (name: string): Promise<void> => {
    const { certificate, key } = materialOfChain(testAuthority(name))
    await writeFile(`${files.key}.new`, key)
    await rename(`${files.key}.new`, files.key)
    await writeFile(`${files.certificate}.new`, certificate)
    await rename(`${files.certificate}.new`, files.certificate)
  }
  await put('first')
  const shelf = new CaShelf(silentLog)
  const told: string[] = []
  let wake = (): void => {}
  const listener = {
    hold: (material: Parameters<CaShelf['offer']>[0]) => {
      shelf.offer(material, now)
      told.push(shelf.problem ?? shelf.cas[0]?.root.subject ?? '')
      wake()
    },
    miss: (why: string) => {
      shelf.miss(why)
      told.push(why)
      wake()
    },
  }
  const none = { pages: () => never(), watch: () => never() }
  const source = openCaSource({ files }, listener, none, systemClock, silentLog)
  cleanups.push(() => source.close())
  await source.synced
  expect(told).toEqual(['CN=first'])

  const heard = async (what: RegExp): Promise<void> => {
    while (!told.some((one) => what.test(one))) {
      const { promise, resolve } = Promise.withResolvers<void>()
      wake = resolve
      await promise
    }
  }
  await put('second')
  await heard(/^CN=second$/)
  await rm(files.key)
  await heard(/ENOENT/)
  expect(shelf.cas.map(({ root }) => root.subject)).toEqual(['CN=second', 'CN=first'])
  expect(shelf.problem).toContain('ENOENT')
})

function never(): never {
  throw new Error('nobody asks the API server for files')
}

test('a Secret as cert-manager writes it is a CA, and one without its keys says which', () => {
  const { certificate, key, root } = materialOfChain(testAuthority('root'))
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const metadata = { name: 'ca', namespace: 'podpass' }
  const data = { 'tls.crt': base64(certificate), 'tls.key': base64(key), 'ca.crt': base64(root) }
  const material = materialOf({ metadata, data })
  if ('why' in material) throw new Error(material.why)
  expect(readSigningCa(material, now).root.subject).toBe('CN=root')
  expect(materialOf({ metadata })).toEqual({ why: 'it has no tls.crt and no tls.key' })
})
