import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { attributePrefix, kubeletKeys } from './attributes.ts'
import type { PodMetadata } from './pod-metadata.ts'
import { parseVolumeSpec, standardDefaults, type VolumeSpec } from './spec.ts'
import { asLabels, asUriHost, asUriParts, podVariables, type Variables } from './variables.ts'

const pod = { name: 'web-0', namespace: 'sandbox', uid: 'u', serviceAccount: 'web' }

function kubeletSays(value: string): Variables {
  return { values: { A: value }, refused: {} }
}

test('the node is a variable where it is known', () => {
  expect(podVariables(pod, undefined).values).toEqual({
    POD_NAME: 'web-0',
    POD_NAMESPACE: 'sandbox',
    POD_UID: 'u',
    SERVICE_ACCOUNT_NAME: 'web',
  })
  expect(podVariables(pod, 'node-1').values).toMatchObject({ NODE_NAME: 'node-1' })
})

test.each(['web-0', 'ip-10-0-0-1.eu.example', 'system:node', 'a_b', ''])(
  'the value %j of the kubelet stands as it is',
  (value) => {
    expect(asLabels(kubeletSays(value))).toEqual(kubeletSays(value))
    expect(asUriParts(kubeletSays(value))).toEqual(kubeletSays(value))
    expect(asUriHost(kubeletSays(value))).toEqual(kubeletSays(value))
  },
)

test('the name of a node is one DNS label in names, and whatever it is behind the host of a URI', () => {
  const node = podVariables(pod, 'ip-10-0-0-1.eu.example')
  expect(asLabels(node).refused['NODE_NAME']).toMatch(/"ip-10-0-0-1.eu.example" of NODE_NAME .* one DNS label/)
  expect(asUriHost(node).refused['NODE_NAME']).toMatch(/one DNS label/)
  expect(asUriParts(node).values['NODE_NAME']).toBe('ip-10-0-0-1.eu.example')
  expect(asLabels(podVariables(pod, 'node-1')).values['NODE_NAME']).toBe('node-1')
})

test('any other value of the kubelet is one label at most, and one part of a URI', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      fc.pre(!/^[A-Za-z0-9._:-]*$/.test(value))
      const label = asLabels(kubeletSays(value)).values['A']
      expect(label).toMatch(/^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?$/)
      expect(asUriParts(kubeletSays(value)).values['A']).toMatch(/^(?:[\w.~!*'()-]|%[0-9A-F]{2})*$/)
    }),
  )
})

const context = {
  [kubeletKeys.podName]: 'web-0',
  [kubeletKeys.podNamespace]: 'sandbox',
  [kubeletKeys.podUid]: 'u',
  [kubeletKeys.serviceAccount]: 'web',
  [kubeletKeys.ephemeral]: 'true',
  [`${attributePrefix}issuer-name`]: 'ca-issuer',
}

function parse(attributes: Readonly<Record<string, string>>, podMetadata?: PodMetadata) {
  const own = Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])
  return parseVolumeSpec({ ...context, ...Object.fromEntries(own) }, { ...standardDefaults, podMetadata })
}

function specOf(attributes: Readonly<Record<string, string>>, podMetadata: PodMetadata): VolumeSpec {
  const result = parse(attributes, podMetadata)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.spec
}

function problemsOf(attributes: Readonly<Record<string, string>>, podMetadata?: PodMetadata): string[] {
  const result = parse(attributes, podMetadata)
  return result.ok
    ? []
    : result.problems.map(({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`)
}

/** A pod whose only label, and only annotation, has a value. */
function having(value: string): PodMetadata {
  return { labels: { 'example.com/key': value }, annotations: { key: value } }
}

describe('labels and annotations', () => {
  const metadata = {
    labels: { 'app.kubernetes.io/name': 'web', team: 'a.b_c' },
    annotations: { 'example.com/owner': 'Ops, "Night" #1; CN=x', path: '../a b/ü?#%' },
  }

  test('stand in names and subjects beside what the kubelet tells', () => {
    const spec = specOf(
      {
        'common-name': "${POD_ANNOTATIONS['example.com/owner']}",
        organizations: '"Acme, Inc.",${POD_ANNOTATIONS[\'example.com/owner\']}',
        'dns-names':
          "${POD_LABELS['app.kubernetes.io/name']}.${POD_NAMESPACE}.svc, *.${POD_LABELS['app.kubernetes.io/name']}.example",
        'uri-sans':
          "spiffe://${POD_LABELS['app.kubernetes.io/name']}.example/ns/${POD_NAMESPACE}/${POD_ANNOTATIONS['path']}/${POD_LABELS['team']}",
        'email-sans': "${POD_LABELS['app.kubernetes.io/name']}@example.com",
      },
      metadata,
    )
    expect(spec.names).toEqual({
      dns: ['web.sandbox.svc', '*.web.example'],
      ip: [],
      uri: ['spiffe://web.example/ns/sandbox/..%2Fa%20b%2F%C3%BC%3F%23%25/a.b_c'],
      email: ['web@example.com'],
    })
    expect(spec.commonName).toBe('Ops, "Night" #1; CN=x')
    expect(spec.subject.flat().map(({ type }) => type)).toEqual(['O', 'O', 'CN'])
  })

  test('are replaced in a literal subject after it was read', () => {
    const spec = specOf({ 'literal-subject': "CN=web,O=${POD_ANNOTATIONS['example.com/owner']}" }, metadata)
    expect(spec.subject).toEqual([[{ type: 'O', value: 'Ops, "Night" #1; CN=x' }], [{ type: 'CN', value: 'web' }]])
  })

  test.each([
    ["${POD_LABELS['nope']}", 'the pod has no label "nope"'],
    ["${POD_ANNOTATIONS['team']}", 'the pod has no annotation "team"'],
    ["${POD_LABELS['constructor']}", 'the pod has no label "constructor"'],
    ['${POD_LABELS[team]}', 'invalid variable "POD_LABELS[team]": must be written as ${POD_LABELS[\'key\']}'],
    ['${POD_LABELS["team"]}', 'invalid variable "POD_LABELS[\\"team\\"]": must be written as ${POD_LABELS[\'key\']}'],
    ["${POD_LABEL['team']}", "invalid variable \"POD_LABEL['team']\": must be written as ${POD_LABELS['key']}"],
    [
      '${pod_annotation:team}',
      'invalid variable "pod_annotation:team": must be written as ${POD_ANNOTATIONS[\'key\']}',
    ],
    // Without braces the name ends at the bracket.
    ["$POD_LABELS['team']", 'invalid variable "POD_LABELS": must be written as ${POD_LABELS[\'key\']}'],
  ])('%s is an error that says what to change', (text, problem) => {
    expect(problemsOf({ 'common-name': text }, metadata)).toEqual([`common-name: ${problem}`])
  })

  test('that were not read are not there', () => {
    expect(problemsOf({ 'common-name': "${POD_LABELS['team']}" })).toEqual(['common-name: the pod has no label "team"'])
  })

  test.each(['a.b', 'a_b', '-a', 'a-', '*', 'a b', 'ü', 'a@b', 'x'.repeat(64)])(
    'the value %j is refused in DNS names, e-mail addresses and hosts of URIs',
    (value) => {
      const problem = `the value ${JSON.stringify(value)} of POD_ANNOTATIONS['key'] cannot stand here: it must be one DNS label: letters, digits and "-" inside, at most 63`
      for (const [name, text] of [
        ['dns-names', "${POD_ANNOTATIONS['key']}.example"],
        ['email-sans', "${POD_ANNOTATIONS['key']}@example.com"],
        ['uri-sans', "https://${POD_ANNOTATIONS['key']}.example/a"],
        ['uri-sans', "${POD_ANNOTATIONS['key']}://example/a"],
      ] as const) {
        expect(problemsOf({ [name]: text }, having(value))).toContain(`${name}: ${problem}`)
      }
    },
  )

  test.each([
    ['', 'it is empty'],
    ['a\nb', 'it has control characters'],
    ['a\u0000', 'it has control characters'],
    ['\ud800', 'it has control characters'],
    ['x'.repeat(257), 'it has 257 characters, and at most 256 may take part in a name'],
  ])('the value %j is refused everywhere', (value, problem) => {
    for (const name of ['common-name', 'organizations', 'literal-subject', 'dns-names', 'uri-sans', 'email-sans']) {
      const text = name === 'literal-subject' ? "CN=${POD_ANNOTATIONS['key']}" : "${POD_ANNOTATIONS['key']}"
      expect(problemsOf({ [name]: text }, having(value))[0]).toContain(problem)
    }
  })

  test.each(['.', '..', '...'])('the value %j is refused in a path', (value) => {
    expect(problemsOf({ 'uri-sans': "spiffe://a/${POD_ANNOTATIONS['key']}/b" }, having(value))).toEqual([
      `uri-sans: the value "${value}" of POD_ANNOTATIONS['key'] cannot stand here: it must be more than dots`,
    ])
  })
})

/** Values as somebody would choose them who wants another name than the author of the attributes. */
const values = fc.oneof(
  fc.constantFrom('.', '..', '...', '%2e%2e', 'a.b', 'a,b', 'a/b', 'a@b', '*', 'web', 'Web-0'),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ maxLength: 300 }),
  fc
    .array(
      fc.constantFrom(
        'a',
        'evil',
        '.',
        '..',
        '/',
        ',',
        '@',
        ':',
        '//',
        '?',
        '#',
        '%2f',
        '%',
        '+',
        '=',
        '"',
        '\\',
        '$',
        '${',
        '}',
        '*',
        ' ',
        '\n',
        '-',
        ';',
        'é',
      ),
      {
        maxLength: 8,
      },
    )
    .map((pieces) => pieces.join('')),
)

/** A name with a harmless value in the place of the chosen one. */
const harmless = 'x0x'

function shapeOfUri(uri: string): object {
  const { protocol, host, port, username, password, pathname, search, hash } = new URL(uri)
  const parts = {
    protocol,
    labels: host.split('.').length,
    port,
    user: [username, password].map((text) => text !== ''),
  }
  return { ...parts, segments: pathname.split('/').length, query: search.split('&').length, hash: hash !== '' }
}

test('no value of a label or annotation adds or reshapes a name', () => {
  const label = "${POD_LABELS['example.com/key']}"
  const annotation = "${POD_ANNOTATIONS['key']}"
  const places = [
    { 'dns-names': `${label},${annotation}.b,c` },
    { 'email-sans': `${label}@example.com,d@${annotation}.example` },
    {
      'uri-sans': `spiffe://td.example/ns/${label}/sa/${annotation},https://${label}.example:8443/a?q=${annotation}&r=1`,
    },
    { 'uri-sans': `urn:example:${annotation},spiffe://td.example/ns/${annotation}/sa/web` },
    { 'common-name': annotation, organizations: `${annotation},"b,c"`, countries: label },
    { 'literal-subject': `CN=${annotation}+UID=${label},O=${annotation}\\, Inc.` },
  ]
  let accepted = 0
  fc.assert(
    fc.property(fc.constantFrom(...places), values, (attributes, value) => {
      const expected = specOf(attributes, having(harmless))
      const result = parse(attributes, having(value))
      // Only what refers to the value is wrong.
      const problems = result.ok ? [] : result.problems
      expect(problems.filter(({ attribute }) => attribute.slice(attributePrefix.length) in attributes)).toEqual(
        problems,
      )
      const { names, subject } = result.ok ? result.spec : expected
      const written = result.ok ? value : harmless
      if (result.ok) accepted++
      expect(names.dns.map((name) => name.split('.').length)).toEqual(
        expected.names.dns.map((name) => name.split('.').length),
      )
      expect(names.email.map((name) => name.split(/[@.]/).length)).toEqual(
        expected.names.email.map((name) => name.split(/[@.]/).length),
      )
      expect(names.uri.map(shapeOfUri)).toEqual(expected.names.uri.map(shapeOfUri))
      const types = (spec: VolumeSpec['subject']): string[][] => spec.map((level) => level.map(({ type }) => type))
      expect(types(subject)).toEqual(types(expected.subject))
      const replaced = expected.subject.flat().map((part) => part.value.replaceAll(harmless, () => written))
      expect(subject.flat().map((part) => part.value)).toEqual(replaced)
    }),
    { numRuns: 3000 },
  )
  expect(accepted).toBeGreaterThan(300)
})
