import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { testAuthority } from '../x509/test-pki.ts'
import { IssuersConfigError, readIssuersConfig } from './issuers-config.ts'
import { renderRole } from './vault/role-template.ts'

let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-issuers-'))
  file = join(folder, 'issuers.yaml')
})

afterEach(() => rm(folder, { recursive: true }))

const least = `issuers:
  - kind: Vault
    name: corp
    address: https://vault.example:8200
    auth:
      role: \${POD_NAMESPACE}
    pki:
      role: pods
`
const ca = testAuthority('Vault').certificate.pem

/** What is wrong with a text, a line each, without the file's folder. */
async function problemsOf(text: string): Promise<readonly string[]> {
  await writeFile(file, text)
  const error = await readIssuersConfig(file).then(
    () => undefined,
    (error: unknown) => error as Error,
  )
  if (error === undefined) return []
  expect(error).toBeInstanceOf(IssuersConfigError)
  return error.message.split('\n').map((line) => line.replace(`${folder}/`, ''))
}

test('an issuer takes what is not said from the defaults', async () => {
  await writeFile(file, least)
  const { issuers, files } = await readIssuersConfig(file)
  const [issuer] = issuers
  expect(issuer).toMatchObject({
    kind: 'Vault',
    name: 'corp',
    address: 'https://vault.example:8200',
    redirects: [],
    auth: { mount: 'kubernetes', audience: 'vault' },
    pki: { mount: 'pki' },
    timeout: 30_000,
    revoke: false,
  })
  expect(renderRole(issuer?.auth.role ?? [], { namespace: 'sandbox', serviceAccount: 'web' })).toBe('sandbox')
  expect(files).toEqual([file])
})

test('every key is taken', async () => {
  await writeFile(join(folder, 'vault.pem'), ca)
  await writeFile(
    file,
    `issuers:
  - kind: Vault
    name: corp
    address: https://vault.example
    redirects: [https://vault-1.example:8200/]
    caFile: vault.pem
    serverName: vault.internal
    namespace: team/web/
    auth: { mount: k8s/prod, role: pods, audience: "" }
    pki: { mount: /team/pki, role: pods, issuer: blue }
    timeout: 1m
    revoke: true
`,
  )
  const { issuers, files } = await readIssuersConfig(file)
  expect(issuers[0]).toMatchObject({
    address: 'https://vault.example',
    redirects: ['https://vault-1.example:8200'],
    ca,
    serverName: 'vault.internal',
    namespace: 'team/web',
    auth: { mount: 'k8s/prod', audience: '' },
    pki: { mount: 'team/pki', issuer: 'blue' },
    timeout: 60_000,
    revoke: true,
  })
  expect(files).toEqual([file, join(folder, 'vault.pem')])
})

test('the example is one', async () => {
  const example = await readFile(join(import.meta.dirname, '../../examples/vault.yaml'), 'utf8')
  const [configMap] = parseAllDocuments(example)
  await writeFile(file, String(configMap?.getIn(['data', 'issuers.yaml'])))
  const { issuers } = await readIssuersConfig(file)
  expect(issuers.map(({ name }) => name)).toEqual(['corp'])
})

test('a list may be empty', async () => {
  expect(await problemsOf('issuers: []')).toEqual([])
})

describe('what is wrong is told with its place', () => {
  const at = (from: string, to: string): string => least.replace(from, to)

  test.each([
    ['an empty file', '', 'issuers.yaml: must be Object, and is null'],
    ['no list', 'issuers: 3\n', 'issuers.yaml:1:10: issuers: must be Array, and is 3'],
    [
      'a key of the file',
      `issuer: []\n${least}`,
      'issuers.yaml:1:9: issuer: there is no such key, did you mean issuers?',
    ],
    ['another kind', at('Vault', 'vault'), 'issuers.yaml:2:11: issuers[0].kind: must be "Vault", and is "vault"'],
    [
      'a misspelt key',
      at('      role: pods', '      roll: pods'),
      'issuers.yaml:8:13: issuers[0].pki.roll: there is no such key, did you mean role?',
    ],
    ['a missing key', at('    name: corp\n', ''), 'issuers.yaml:2:5: issuers[0].name: is missing'],
    [
      'a missing part',
      at('    auth:\n      role: ${POD_NAMESPACE}\n', ''),
      'issuers.yaml:2:5: issuers[0].auth: is missing',
    ],
    ['plain HTTP', at('https:', 'http:'), 'issuers.yaml:4:14: issuers[0].address: must be an https:// address'],
    ['a path', at(':8200', ':8200/v1'), 'issuers[0].address: must be an https:// address'],
    ['a password', at('https://', 'https://me:secret@'), 'issuers[0].address: must be an https:// address'],
    ['no address', at('https://vault.example:8200', 'vault'), 'issuers[0].address: must be an https:// address'],
    ['a template', at('POD_NAMESPACE', 'POD_NAME'), 'issuers.yaml:6:13: issuers[0].auth.role: refers to "POD_NAME"'],
    [
      'sign-verbatim',
      at('pki:', 'pki:\n      mount: pki/sign-verbatim'),
      'issuers[0].pki.mount: must not lead to sign-verbatim',
    ],
    [
      'a mount that climbs',
      at('pki:', 'pki:\n      mount: pki/../sys'),
      'issuers[0].pki.mount: must not hold "." or ".."',
    ],
    [
      'a number for a duration',
      `${least}    timeout: 30\n`,
      'issuers.yaml:9:14: issuers[0].timeout: must be string, and is 30',
    ],
    ['a long time', `${least}    timeout: 1h\n`, 'issuers[0].timeout: must be a duration from 1s to 5m'],
    [
      'a CA that is none',
      `${least}    ca: nothing\n`,
      'issuers.yaml:9:9: issuers[0].ca: must hold certificates in PEM',
    ],
    [
      'a CA file that is not there',
      `${least}    caFile: none.pem\n`,
      'issuers.yaml:9:13: issuers[0].caFile: cannot be read: ENOENT',
    ],
    ['two CAs', `${least}    ca: x\n    caFile: y\n`, 'ca and caFile cannot both be given'],
    [
      'a name that is taken',
      least + least.replace('issuers:\n', ''),
      'issuers.yaml:10:11: issuers[1].name: there is a Vault issuer corp already',
    ],
    ['broken YAML', 'issuers:\n\t- x\n', 'issuers.yaml:2:1: '],
    ['an alias of nothing', 'issuers: *nothing\n', 'issuers.yaml'],
  ])('%s', async (_what, text, problem) => {
    expect((await problemsOf(text)).join('\n')).toContain(problem)
  })

  test('all of it at once', async () => {
    expect(await problemsOf(least.replace('https:', 'ftp:').replace('pods', '""'))).toHaveLength(2)
  })

  test('a file that is not there', async () => {
    await expect(readIssuersConfig(join(folder, 'none.yaml'))).rejects.toThrow('none.yaml: cannot be read: ENOENT')
    await mkdir(join(folder, 'folder'))
    await expect(readIssuersConfig(join(folder, 'folder'))).rejects.toThrow('cannot be read: EISDIR')
  })

  test('whatever the file holds, it is a configuration or it is refused in words', async () => {
    const key = fc.constantFrom(
      'kind',
      'name',
      'address',
      'ca',
      'caFile',
      'auth',
      'pki',
      'role',
      'mount',
      'timeout',
      'x',
    )
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ depthSize: 'small' }, fc.constantFrom('Vault', 'https://a', '..'), fc.jsonValue(), tie('object')),
      object: fc.dictionary(key, tie('any'), { maxKeys: 5 }),
    })).any
    const config = fc.oneof(
      fc.string(),
      fc.array(value).map((issuers) => JSON.stringify({ issuers })),
    )
    await fc.assert(
      fc.asyncProperty(config, async (text) => {
        await expect(problemsOf(text)).resolves.toBeInstanceOf(Array)
      }),
    )
  })
})
