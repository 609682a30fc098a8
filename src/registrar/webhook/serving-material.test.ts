import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../../../test/support/until.ts'
import { recordingLog } from '../../../test/support/recording-log.ts'
import { systemClock } from '../../runtime/clock.ts'
import { liveAuthority, livePair, WebhookFiles } from './fixtures/webhook-pki.ts'
import { followServingFiles, readServingFiles, type ServingMaterial, type ServingPaths } from './serving-material.ts'

const authority = liveAuthority('webhook CA')
let files: WebhookFiles
let paths: ServingPaths

beforeEach(async () => {
  files = await WebhookFiles.create()
  paths = { certificate: files.path('cert.pem'), key: files.path('key.pem'), clientCa: files.path('cacert.pem') }
  await files.writePair(livePair(authority))
  await files.write('cacert.pem', `# the API server's\n${authority.certificate.pem}`)
})

afterEach(async () => {
  await files[Symbol.asyncDispose]()
})

test('the files are read', async () => {
  const { clientCas } = await readServingFiles(paths)
  expect(clientCas).toEqual([authority.certificate.pem])
})

test('the client CA is not looked at where nobody has to show a certificate', async () => {
  await files.write('cacert.pem', 'nonsense')
  expect(await readServingFiles({ ...paths, clientCa: undefined })).toMatchObject({ clientCas: undefined })
})

test('what is wrong is said in the words of the former registrar, all at once', async () => {
  const other = livePair(authority)
  await files.write('key.pem', other.key)
  await expect(readServingFiles(paths)).rejects.toThrow(/^unable to load server keypair: /)
  await files.write('cacert.pem', 'nonsense')
  await expect(readServingFiles(paths)).rejects.toThrow(
    /^unable to load server keypair: .*; unable to parse cacert file: it holds no certificate$/,
  )
  const missing = { ...paths, certificate: files.path('none'), clientCa: files.path('none') }
  await expect(readServingFiles(missing)).rejects.toThrow(
    /^unable to load server keypair: ENOENT.*; unable to read cacert file: ENOENT/,
  )
})

test('files that change are told once whole, and unusable ones change nothing', async () => {
  const seen: ServingMaterial[] = []
  const lines: string[] = []
  const before = await readServingFiles(paths)
  const follower = followServingFiles(
    paths,
    before,
    (material) => seen.push(material),
    systemClock,
    recordingLog(lines),
  )
  const next = livePair(authority)
  await files.write('key.pem', next.key)
  await until('the half pair is refused', () => lines.some((line) => line.includes('cannot be used')))
  expect(seen).toEqual([])
  await files.write('cert.pem', next.certificate)
  await until('the new pair is told', () => seen.length > 0)
  expect(seen).toHaveLength(1)
  expect(seen[0]).toMatchObject(next)
  expect(lines.join('\n')).not.toContain('PRIVATE KEY')
  await follower.close()
})
