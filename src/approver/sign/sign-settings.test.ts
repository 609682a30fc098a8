import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { readManifest } from '../../manifest/manifest.ts'
import { day, hour } from '../../x509/test-pki.ts'
import { readSignSettings } from './sign-settings.ts'
import { defaultUsages } from './signer-profile.ts'

function read(text: string): ReturnType<typeof readSignSettings> {
  const [document] = readManifest({ name: 'signers.yaml', text }).documents
  if (document === undefined) throw new Error('no document')
  return readSignSettings(document)
}

test('a signer is described by its name and its CA; the rest has defaults', () => {
  const { signers } = read(`
signers:
  - name: example.com/serving
    ca: { secret: { namespace: podpass, name: serving-ca } }
  - name: example.com/pods
    ca: { files: { certificate: tls.crt, key: tls.key } }
    usages: [client auth]
    longest: 1h
    refreshAfter: 15m
    configMaps: { name: trust, namespaces: { matchLabels: { a: b, c: d } } }
`)
  expect(signers).toEqual([
    {
      profile: { signerName: 'example.com/serving', usages: defaultUsages, longest: day },
      ca: { secret: { namespace: 'podpass', name: 'serving-ca' } },
      configMaps: undefined,
    },
    {
      profile: { signerName: 'example.com/pods', usages: ['client auth'], longest: hour, refreshAfter: hour / 4 },
      ca: { files: { certificate: 'tls.crt', key: 'tls.key' } },
      configMaps: { name: 'trust', key: 'ca.crt', labelSelector: 'a=b,c=d' },
    },
  ])
})

const ca = 'ca: { secret: { namespace: a, name: b } }'

describe('refused is', () => {
  test.each<[string, string, number, string]>([
    [
      "a signer of Kubernetes' own",
      `- { name: kubernetes.io/kubelet-serving, ${ca} }`,
      2,
      'must not be under kubernetes.io',
    ],
    ['one below it', `- { name: a.kubernetes.io/b, ${ca} }`, 2, 'must not be under kubernetes.io'],
    ['an asterisk', `- { name: example.com/*, ${ca} }`, 2, 'must be a signer such as example.com/serving'],
    [
      'a CA of two places',
      '- { name: example.com/a, ca: { secret: { namespace: a, name: b }, files: { certificate: c, key: d } } }',
      2,
      'must be either secret or files',
    ],
    ['a CA of no place', '- { name: example.com/a, ca: {} }', 2, 'must be either secret or files'],
    ['a usage of CAs', `- { name: example.com/a, ${ca}, usages: [cert sign] }`, 2, 'must be a usage of leaves'],
    [
      'a life that no request may have',
      `- { name: example.com/a, ${ca}, longest: 5m }`,
      2,
      'must be a duration from 10m on',
    ],
    [
      'one name twice',
      `- { name: example.com/a, ${ca} }\n  - { name: example.com/a, ${ca} }`,
      3,
      'is that of two signers',
    ],
    ['a mistyped field', `- { name: example.com/a, ${ca}, longst: 1h }`, 2, 'did you mean longest?'],
  ])('%s, with its place', (_what, signers, line, message) => {
    const { problems, signers: read_ } = read(`signers:\n  ${signers}\n`)
    expect(read_).toEqual([])
    expect(problems).toContainEqual(
      expect.objectContaining({
        location: expect.objectContaining({ line }) as object,
        message: expect.stringContaining(message) as string,
      }),
    )
  })

  test('a file without signers', () => {
    expect(read('signers: []').problems).toHaveLength(1)
    expect(read('{}').problems).toHaveLength(1)
  })
})

test('the settings that ship are read', () => {
  const file = join(import.meta.dirname, '../../../deploy/approver/signer.yaml')
  const [config] = parseAllDocuments(readFileSync(file, 'utf8')).map((document): unknown => document.toJS())
  const { data } = config as { readonly data: Readonly<Record<string, string>> }
  const { signers, problems } = read(data['signers.yaml'] ?? '')
  expect(problems).toEqual([])
  expect(signers.map(({ profile }) => profile.signerName)).toEqual(['example.com/serving', 'example.com/pods'])
})
