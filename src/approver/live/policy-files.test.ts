import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { policyDocument } from '../fixtures/world.ts'
import { PolicyFiles } from './policy-files.ts'

const spec = {
  requests: { signerNames: ['example.com/serving'] },
  names: { allowed: { dnsNames: ['*.${namespace}.svc'] } },
}
const broken = { ...spec, requests: { signerName: 'example.com/serving' } }

let directory = ''
let files: PolicyFiles
let changes: (() => void)[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podpass-policies-'))
  changes = []
  files = new PolicyFiles({
    directory,
    limits: { allowApiserverSigners: false },
    onChange: () => changes.splice(0).forEach((tell) => tell()),
    clock: systemClock,
    log: silentLog,
  })
})
afterEach(async () => {
  files.close()
  await rm(directory, { recursive: true, force: true })
})

function changed(): Promise<void> {
  return new Promise((resolve) => changes.push(resolve))
}

async function put(name: string, ...documents: readonly string[]): Promise<void> {
  const told = changed()
  await writeFile(join(directory, name), documents.join('\n---\n'))
  await told
}

async function names(): Promise<readonly string[]> {
  return (await files.read()).policies.map(({ name }) => name)
}

test('policies of all files are read, and read again when one changes or goes', async () => {
  await put('a.yaml', policyDocument('one', spec), policyDocument('two', spec))
  await put('b.json', policyDocument('three', spec))
  await put('notes.txt', 'no policy')
  expect(await names()).toEqual(['one', 'two', 'three'])
  const told = changed()
  await rm(join(directory, 'a.yaml'))
  await told
  expect(await names()).toEqual(['three'])
})

test('a file with a mistake is told of with its place, and what it last said without one counts', async () => {
  await put('a.yaml', policyDocument('one', spec))
  expect(await names()).toEqual(['one'])
  await put('a.yaml', policyDocument('one', broken), policyDocument('two', spec))
  const read = await files.read()
  expect(read.policies.map(({ name }) => name)).toEqual(['one'])
  expect(read.unready).toEqual(['one'])
  expect(read.problems[0]).toMatchObject({
    location: { source: join(directory, 'a.yaml'), line: 1 },
    message: expect.stringContaining('signerNames') as string,
  })
  await put('a.yaml', 'kind: [')
  expect(await files.read()).toMatchObject({ policies: [{ name: 'one' }], unready: [join(directory, 'a.yaml')] })
  await put('a.yaml', policyDocument('two', spec))
  expect(await names()).toEqual(['two'])
})

test('a document of another kind is a mistake: a mistyped kind must not be a policy less', async () => {
  await put('a.yaml', policyDocument('one', spec).replace('CertificatePolicy', 'CertificatePolicies'))
  const { policies, problems } = await files.read()
  expect({ policies, problems }).toMatchObject({ policies: [], problems: [{ message: 'is no CertificatePolicy' }] })
})

test('the files of a ConfigMap are read once, and again when the kubelet renames its link', async () => {
  const version = async (name: string, policy: string): Promise<void> => {
    await mkdir(join(directory, name))
    await writeFile(join(directory, name, 'a.yaml'), policyDocument(policy, spec))
    await symlink(name, join(directory, '..data_tmp'))
  }
  await version('..first', 'one')
  await rename(join(directory, '..data_tmp'), join(directory, '..data'))
  await symlink('..data/a.yaml', join(directory, 'a.yaml'))
  await changed()
  expect(await names()).toEqual(['one'])
  await version('..second', 'two')
  const told = changed()
  await rename(join(directory, '..data_tmp'), join(directory, '..data'))
  await told
  expect(await names()).toEqual(['two'])
})

test('a folder that cannot be read leaves what was read before', async () => {
  await put('a.yaml', policyDocument('one', spec))
  expect(await names()).toEqual(['one'])
  await rm(directory, { recursive: true })
  expect(await files.read()).toMatchObject({ policies: [{ name: 'one' }], unready: [directory] })
})
