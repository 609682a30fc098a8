import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyUsages } from '../x509/key-usage.ts'
import { attributePrefix, kubeletKeys } from './attributes.ts'
import { parseVolumeSpec, type SpecDefaults, standardDefaults, type VolumeSpec } from './spec.ts'

const kubelet = {
  [kubeletKeys.ephemeral]: 'true',
  [kubeletKeys.podName]: 'web-0',
  [kubeletKeys.podNamespace]: 'sandbox',
  [kubeletKeys.podUid]: '00000000-0000-4000-8000-000000000000',
  [kubeletKeys.serviceAccount]: 'web',
}

type Attributes = Readonly<Record<string, string>>

function contextOf(attributes: Attributes): Record<string, string> {
  const prefixed = Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])
  return { ...kubelet, [`${attributePrefix}issuer-name`]: 'ca', ...Object.fromEntries(prefixed) }
}

function parse(attributes: Attributes, defaults: SpecDefaults = standardDefaults): VolumeSpec {
  const result = parseVolumeSpec(contextOf(attributes), defaults)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.spec
}

/** What is wrong, each as `attribute: message`. */
function problemsOf(attributes: Attributes, defaults?: SpecDefaults): string[] {
  const result = parseVolumeSpec(contextOf(attributes), defaults)
  const problems = result.ok ? [] : result.problems
  return problems.map(({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`)
}

function warningsOf(attributes: Attributes): string[] {
  const result = parseVolumeSpec(contextOf(attributes))
  const warnings = result.ok ? result.warnings : []
  return warnings.map(({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`)
}

test('a volume that names only its issuer has the documented defaults', () => {
  expect(parse({})).toEqual({
    pod: {
      name: 'web-0',
      namespace: 'sandbox',
      uid: '00000000-0000-4000-8000-000000000000',
      serviceAccount: 'web',
    },
    issuer: { name: 'ca', kind: 'Issuer', group: 'cert-manager.io' },
    subject: [],
    commonName: undefined,
    names: { dns: [], ip: [], uri: [], email: [] },
    duration: 720 * 3600_000,
    isCA: false,
    usages: ['digital signature', 'key encipherment'],
    request: { signatureAlgorithm: undefined, encodeUsages: false, nameConstraints: undefined },
    key: { spec: { algorithm: 'RSA', size: 2048 }, encoding: 'PKCS1', reuse: false },
    files: { certificate: 'tls.crt', privateKey: 'tls.key', ca: 'ca.crt' },
    keystores: { pkcs12: undefined, jks: undefined },
    legacyLinks: false,
    fsGroup: undefined,
    renewal: { automatic: true, before: undefined, windows: [] },
    annotations: {},
  })
})

test('an attribute that is set to nothing has its default', () => {
  const empty = {
    'issuer-kind': '',
    'issuer-group': '',
    'common-name': '',
    'dns-names': '',
    duration: '',
    'is-ca': '',
    'key-usages': '',
    'key-algorithm': '',
    'key-size': '',
    'key-encoding': '',
    'certificate-file': '',
    layout: '',
    'fs-group': '',
    'renew-before': '',
    'disable-auto-renew': '',
    'reuse-private-key': '',
  }
  expect(parse(empty)).toEqual(parse({}))
})

test('every attribute is heard', () => {
  const spec = parse({
    'issuer-name': 'vault',
    'issuer-kind': 'VaultClusterIssuer',
    'issuer-group': 'example.com',
    'common-name': '${POD_NAME}.${POD_NAMESPACE}',
    'dns-names': 'a.example, $POD_NAME.b.example',
    'ip-sans': '10.0.0.1,::1',
    'uri-sans': 'spiffe://cluster.local/ns/$POD_NAMESPACE/sa/${SERVICE_ACCOUNT_NAME}',
    duration: '1h30m',
    'is-ca': 'true',
    'key-usages': 'server auth,client auth,server auth',
    'key-algorithm': 'ecdsa',
    'key-size': '384',
    'key-encoding': 'pkcs8',
    'certificate-file': 'bar/foo.crt',
    'privatekey-file': 'bar/foo.key',
    'ca-file': 'ca.pem',
    layout: 'legacy',
    'fs-group': '2000',
    'renew-before': '10m',
    'disable-auto-renew': 'true',
    'reuse-private-key': 'true',
  })
  expect(spec).toMatchObject({
    issuer: { name: 'vault', kind: 'VaultClusterIssuer', group: 'example.com' },
    commonName: 'web-0.sandbox',
    names: {
      dns: ['a.example', 'web-0.b.example'],
      ip: ['10.0.0.1', '::1'],
      uri: ['spiffe://cluster.local/ns/sandbox/sa/web'],
    },
    duration: 90 * 60_000,
    isCA: true,
    usages: ['server auth', 'client auth'],
    key: { spec: { algorithm: 'ECDSA', size: 384 }, encoding: 'PKCS8', reuse: true },
    files: { certificate: 'bar/foo.crt', privateKey: 'bar/foo.key', ca: 'ca.pem' },
    legacyLinks: true,
    fsGroup: 2000,
    renewal: { automatic: false, before: { is: 'time', milliseconds: 600_000 }, windows: [] },
  })
})

test('the attributes of cert-manager’s Certificate are heard', () => {
  const spec = parse({
    'literal-subject': 'CN=$POD_NAME,O=Acme',
    'email-sans': 'web@example.com',
    'other-names': '1.2.3=web',
    'is-ca': 'true',
    'name-constraints-permitted-dns': 'example.com',
    'signature-algorithm': 'SHA512WithRSA',
    'encode-usages-in-request': 'true',
    'renew-before-percentage': '25',
    'pkcs12-enable': 'true',
    'pkcs12-password': 'p',
    'jks-enable': 'true',
    'jks-password': 'p',
    'additional-output-formats': 'CombinedPEM,DER',
    'credential-bundle-file': 'bundle.pem',
  })
  expect(spec).toMatchObject({
    subject: [[{ type: 'O', value: 'Acme' }], [{ type: 'CN', value: 'web-0' }]],
    commonName: 'web-0',
    names: { email: ['web@example.com'], otherNames: [{ oid: '1.2.3', utf8Value: 'web' }] },
    request: {
      signatureAlgorithm: 'SHA512WithRSA',
      encodeUsages: true,
      nameConstraints: { critical: false, permitted: { dnsDomains: ['example.com'] } },
    },
    renewal: { before: { is: 'share', percent: 25 } },
    keystores: { pkcs12: { profile: 'LegacyRC2' }, jks: { alias: 'certificate' } },
    files: {
      pkcs12: { keystore: 'keystore.p12', truststore: 'truststore.p12' },
      jks: { keystore: 'keystore.jks', truststore: 'truststore.jks' },
      combinedPem: 'tls-combined.pem',
      keyDer: 'key.der',
      credentialBundle: 'bundle.pem',
    },
  })
})

test('the node’s name is a variable where the node is known', () => {
  const attributes = { 'dns-names': '$POD_NAME.$NODE_NAME', 'common-name': '$NODE_NAME' }
  const spec = parse(attributes, { ...standardDefaults, nodeName: 'node-1' })
  expect(spec).toMatchObject({ names: { dns: ['web-0.node-1'] }, commonName: 'node-1' })
  expect(problemsOf(attributes)).toHaveLength(2)
})

test('the administrator decides what a volume leaves open', () => {
  const defaults: SpecDefaults = { duration: 3600_000, layout: 'legacy', requireSan: false }
  expect(parse({}, defaults)).toMatchObject({ duration: 3600_000, legacyLinks: true })
  const named = parse({ duration: '2h', layout: 'default' }, defaults)
  expect(named).toMatchObject({ duration: 7200_000, legacyLinks: false })
})

test('all that is wrong comes in one answer', () => {
  const result = parseVolumeSpec({
    [`${attributePrefix}duration`]: '5d',
    [`${attributePrefix}key-algorithm`]: 'DSA',
    [`${attributePrefix}is-ca`]: 'yes',
    [`${attributePrefix}fs-group`]: '0',
    [`${attributePrefix}ca-file`]: '/ca.crt',
    [`${attributePrefix}layout`]: 'old',
    [`${attributePrefix}organizations`]: '"',
    [`${attributePrefix}email-sans`]: 'web',
    [`${attributePrefix}other-names`]: 'web',
    [`${attributePrefix}signature-algorithm`]: 'MD5',
    [`${attributePrefix}name-constraints-excluded-ip`]: '10.0.0.1',
    [`${attributePrefix}renew-before-percentage`]: '100',
    [`${attributePrefix}additional-output-formats`]: 'PFX',
    [`${attributePrefix}pkcs12-enable`]: 'true',
    [`${attributePrefix}jks-filename`]: 'a',
  })
  expect(result).toMatchObject({ ok: false })
  const attributes = result.ok ? [] : result.problems.map(({ attribute }) => attribute)
  expect(attributes.sort()).toEqual(
    [
      kubeletKeys.ephemeral,
      kubeletKeys.podName,
      kubeletKeys.podNamespace,
      kubeletKeys.podUid,
      ...['issuer-name', 'duration', 'key-algorithm', 'is-ca', 'fs-group', 'ca-file', 'layout'].map(
        (name) => attributePrefix + name,
      ),
      ...['organizations', 'email-sans', 'other-names', 'signature-algorithm', 'name-constraints-excluded-ip'].map(
        (name) => attributePrefix + name,
      ),
      ...['renew-before-percentage', 'additional-output-formats', 'pkcs12-password', 'jks-filename'].map(
        (name) => attributePrefix + name,
      ),
    ].sort(),
  )
})

test.each(['false', 'True', '', undefined])('a volume that is not inline (ephemeral: %j) is refused', (ephemeral) => {
  const context = contextOf({})
  if (ephemeral === undefined) delete context[kubeletKeys.ephemeral]
  else context[kubeletKeys.ephemeral] = ephemeral
  const result = parseVolumeSpec(context)
  expect(result.ok ? [] : result.problems.map(({ attribute }) => attribute)).toEqual([kubeletKeys.ephemeral])
})

test.each([kubeletKeys.podName, kubeletKeys.podNamespace, kubeletKeys.podUid])(
  'without %s from the kubelet the answer says what the CSIDriver object lacks',
  (key) => {
    const result = parseVolumeSpec({ ...contextOf({}), [key]: '' })
    expect(result).toEqual({
      ok: false,
      problems: [
        {
          attribute: key,
          message: 'required: the kubelet sets it when the CSIDriver object has podInfoOnMount: true',
        },
      ],
    })
  },
)

test('a volume without an issuer is refused', () => {
  expect(problemsOf({ 'issuer-name': '' })).toEqual(['issuer-name: required: the name of the issuer that signs'])
})

test.each([
  ['$POD_NAME', 'web-0'],
  ['${POD_NAMESPACE}', 'sandbox'],
  ['$POD_UID', '00000000-0000-4000-8000-000000000000'],
  ['$SERVICE_ACCOUNT_NAME', 'web'],
])('the variable %s is %s', (variable, value) => {
  const spec = parse({ 'common-name': variable, 'dns-names': variable, 'uri-sans': `spiffe://a/${variable}` })
  expect(spec.commonName).toBe(value)
  expect(spec.names).toMatchObject({ dns: [value], uri: [`spiffe://a/${value}`] })
})

test('no variable is replaced where none is documented', () => {
  const spec = parse({ 'issuer-name': '$POD_NAME', 'certificate-file': '$POD_NAME' })
  expect(spec.issuer.name).toBe('$POD_NAME')
  expect(spec.files.certificate).toBe('$POD_NAME')
  expect(problemsOf({ 'ip-sans': '$POD_NAME' })).toHaveLength(1)
})

test('an undefined variable is one error that says what was meant', () => {
  const known =
    "(known variables: POD_NAME POD_NAMESPACE POD_UID SERVICE_ACCOUNT_NAME POD_LABELS['key'] POD_ANNOTATIONS['key'])"
  expect(problemsOf({ 'dns-names': '$PODNAME' }, { ...standardDefaults, requireSan: true })).toEqual([
    `dns-names: undefined variable "PODNAME", did you mean POD_NAME? ${known}`,
  ])
  expect(problemsOf({ 'common-name': '$$x' })).toEqual([`common-name: undefined variable "$" ${known}`])
})

test('a list is split before its variables are replaced, so no value can add a name', () => {
  const context = { ...contextOf({ 'dns-names': '$POD_NAME.x,y' }), [kubeletKeys.podName]: 'a,evil' }
  const result = parseVolumeSpec(context)
  expect(result.ok && result.spec.names.dns).toEqual(['a-evil.x', 'y'])
})

test.each([
  ['a.example,', ['a.example']],
  [' a.example , *.b.example ', ['a.example', '*.b.example']],
  ['_sip._tcp.example', ['_sip._tcp.example']],
  ['xn--bcher-kva.example', ['xn--bcher-kva.example']],
])('the DNS names %j are %j', (text, names) => {
  expect(parse({ 'dns-names': text }).names.dns).toEqual(names)
})

test.each([
  ['bücher.example', '"bücher.example": must be ASCII without white space'],
  ['a b', '"a b": must be ASCII without white space'],
  ['a\u0000', String.raw`"a\u0000": must be ASCII without white space`],
  ['${}', '"": is empty once its variables are replaced'],
])('the DNS name %j is refused', (text, problem) => {
  expect(problemsOf({ 'dns-names': text })).toEqual([`dns-names: invalid value ${problem}`])
})

test.each(['1.2.3.4', '0.0.0.0', '255.255.255.255', '::', '::1', 'fe80::1', '2001:DB8::1', '::ffff:10.0.0.1'])(
  'the IP address %s is taken as it stands',
  (address) => {
    expect(parse({ 'ip-sans': address }).names.ip).toEqual([address])
  },
)

test.each(['1.2.3', '1.2.3.04', '1.2.3.256', '10.0.0.0/8', 'fe80::1%eth0', ':::', '1:2', 'web-0', '0x7f.1', '١.2.3.4'])(
  'the IP address %s is refused',
  (address) => {
    const message = `ip-sans: invalid value ${JSON.stringify(address)}: must be an IPv4 or IPv6 address`
    expect(problemsOf({ 'ip-sans': address })).toEqual([message])
  },
)

test.each([
  ['spiffe://cluster.local/ns/a/sa/b', 'spiffe://cluster.local/ns/a/sa/b'],
  ['SPIFFE://Cluster.Local/Ns', 'spiffe://Cluster.Local/Ns'],
  ['https://example.com:8443/a?b=c', 'https://example.com:8443/a?b=c'],
  ['https://[2001:db8::1]/', 'https://[2001:db8::1]/'],
  ['urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6', 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6'],
  ['https://example.com/%C3%A9', 'https://example.com/%C3%A9'],
  // Go's ParseRequestURI takes an absolute path too.
  ['/Foo:Bar', '/Foo:Bar'],
])('the URI %s becomes %s', (text, uri) => {
  expect(parse({ 'uri-sans': text }).names.uri).toEqual([uri])
})

test.each([
  ['example.com', 'must be an absolute URI, such as spiffe://cluster.local/ns/default'],
  ['1a:b', 'must be an absolute URI, such as spiffe://cluster.local/ns/default'],
  ['//example.com/a', 'must be an absolute URI, such as spiffe://cluster.local/ns/default'],
  ['https://example.com/a b', 'must be ASCII without white space'],
  ['https://', 'must be an absolute URI'],
  ['https://exa[mple', 'must be an absolute URI'],
  ['https://example.com:99999/', 'must be an absolute URI'],
  ['spiffe://é/', 'must be ASCII without white space'],
  ['spiffe://a/%zz', 'must write characters that RFC 3986 lacks as %XX'],
  ['spiffe://a/100%', 'must write characters that RFC 3986 lacks as %XX'],
  ['spiffe://a/b|c', 'must write characters that RFC 3986 lacks as %XX'],
  ['spiffe://a/{b}', 'must write characters that RFC 3986 lacks as %XX'],
  ['spiffe://a..b/', 'must have a host name without empty or escaped parts'],
  ['spiffe://a./', 'must have a host name without empty or escaped parts'],
  ['spiffe://%20/', 'must have a host name without empty or escaped parts'],
])('the URI %s is refused: it %s', (uri, problem) => {
  expect(problemsOf({ 'uri-sans': uri })).toEqual([`uri-sans: invalid value ${JSON.stringify(uri)}: ${problem}`])
})

test('a volume without any DNS, IP or URI name is told, or refused where the administrator wants that', () => {
  const text = 'dns-names: no DNS, IP or URI name is asked for, so most peers cannot verify the certificate'
  expect(warningsOf({ 'common-name': 'x' })).toEqual([text])
  expect(problemsOf({ 'common-name': 'x' }, { ...standardDefaults, requireSan: true })).toEqual([text])
  for (const names of [{ 'dns-names': 'a' }, { 'ip-sans': '::1' }, { 'uri-sans': 'urn:a' }]) {
    expect(warningsOf(names)).toEqual([])
    expect(problemsOf(names, { ...standardDefaults, requireSan: true })).toEqual([])
  }
})

test.each(['0', '0s', '-1h', '-0.5ns'])('a duration of %s is refused: it must be longer than 0', (text) => {
  for (const name of ['duration', 'renew-before']) {
    expect(problemsOf({ [name]: text })).toEqual([
      `${name}: invalid value ${JSON.stringify(text)}: must be longer than 0`,
    ])
  }
})

test.each(['5', '30d', '1 h', 'forever'])('%j is no duration, and the answer says how one looks', (text) => {
  for (const name of ['duration', 'renew-before']) {
    const [problem] = problemsOf({ [name]: text })
    expect(problem).toContain(
      `${name}: invalid value ${JSON.stringify(text)}: must be a duration such as 720h or 1h30m: time: `,
    )
  }
})

test.each(keyUsages.map((usage) => [usage]))('the usage %j is known', (usage) => {
  expect(parse({ 'key-usages': usage }).usages).toEqual([usage])
})

test('usages are trimmed, taken once, in the order given, and empty items dropped', () => {
  const usages = parse({ 'key-usages': ' server auth ,,any, server auth,' }).usages
  expect(usages).toEqual(['server auth', 'any'])
})

test.each([
  ['server-auth', 'did you mean "server auth"?'],
  ['Server Auth', 'did you mean "server auth"?'],
  ['digital signatur', 'did you mean "digital signature"?'],
  ['everything', `one of ${keyUsages.join(', ')}`],
])('the usage %j is refused: %s', (text, hint) => {
  expect(problemsOf({ 'key-usages': `any,${text}` })).toEqual([
    `key-usages: invalid value ${JSON.stringify(text)}: not a key usage, ${hint}`,
  ])
})

test.each([
  [{}, { algorithm: 'RSA', size: 2048 }, 'PKCS1'],
  [{ 'key-size': '2048' }, { algorithm: 'RSA', size: 2048 }, 'PKCS1'],
  [{ 'key-size': '8192' }, { algorithm: 'RSA', size: 8192 }, 'PKCS1'],
  [{ 'key-size': '+3072' }, { algorithm: 'RSA', size: 3072 }, 'PKCS1'],
  [{ 'key-encoding': 'pkcs8' }, { algorithm: 'RSA', size: 2048 }, 'PKCS8'],
  [{ 'key-algorithm': 'rsa' }, { algorithm: 'RSA', size: 2048 }, 'PKCS1'],
  [{ 'key-algorithm': 'ECDSA' }, { algorithm: 'ECDSA', size: 256 }, 'PKCS8'],
  [{ 'key-algorithm': 'ECDSA', 'key-size': '521' }, { algorithm: 'ECDSA', size: 521 }, 'PKCS8'],
  [{ 'key-algorithm': 'ed25519' }, { algorithm: 'Ed25519' }, 'PKCS8'],
  [{ 'key-algorithm': 'ed25519', 'key-encoding': 'PKCS8' }, { algorithm: 'Ed25519' }, 'PKCS8'],
])('with %j the key is %j in %s', (attributes, spec, encoding) => {
  expect(parse(attributes).key).toEqual({ spec, encoding, reuse: false })
})

test.each([
  [{ 'key-size': '2047' }, 'key-size: invalid value "2047": an RSA key has 2048 to 8192 bits'],
  [{ 'key-size': '8193' }, 'key-size: invalid value "8193": an RSA key has 2048 to 8192 bits'],
  [{ 'key-size': '-2048' }, 'key-size: invalid value "-2048": an RSA key has 2048 to 8192 bits'],
  [{ 'key-size': '2048.0' }, 'key-size: invalid value "2048.0": an RSA key has 2048 to 8192 bits'],
  [{ 'key-size': '0x800' }, 'key-size: invalid value "0x800": an RSA key has 2048 to 8192 bits'],
  [
    { 'key-algorithm': 'ECDSA', 'key-size': '2048' },
    'key-size: invalid value "2048": an ECDSA key has 256, 384 or 521 bits',
  ],
  [
    { 'key-algorithm': 'Ed25519', 'key-size': '256' },
    'key-size: invalid value "256": an Ed25519 key has one size only, leave it out',
  ],
  [
    { 'key-algorithm': 'ECDSA', 'key-encoding': 'PKCS1' },
    'key-encoding: invalid value "PKCS1": an ECDSA key cannot be written as PKCS1, use PKCS8',
  ],
  [
    { 'key-algorithm': 'Ed25519', 'key-encoding': 'PKCS1' },
    'key-encoding: invalid value "PKCS1": an Ed25519 key cannot be written as PKCS1, use PKCS8',
  ],
  [
    { 'key-algorithm': 'DSA' },
    'key-algorithm: unsupported value "DSA": supported values are "RSA", "ECDSA", "Ed25519"',
  ],
  [{ 'key-encoding': 'DER' }, 'key-encoding: unsupported value "DER": supported values are "PKCS1", "PKCS8"'],
])('%j is refused', (attributes, problem) => {
  expect(problemsOf(attributes)).toEqual([problem])
})

test.each([
  ['1', 1],
  ['+5', 5],
  ['065534', 65534],
  ['4294967294', 4294967294],
])('the group %s is %d', (text, group) => {
  expect(parse({ 'fs-group': text }).fsGroup).toBe(group)
})

test.each(['0', '-1', '4294967295', '4294967296', '99999999999999999999', '1.5', '1e3', 'root', ' 5', '0x10', '٥'])(
  'the group %j is refused',
  (text) => {
    expect(problemsOf({ 'fs-group': text })).toEqual([
      `fs-group: invalid value ${JSON.stringify(text)}: must be a group id from 1 to 4294967294`,
    ])
  },
)

test('attributes of other domains become annotations, those of the kubelet and of this driver do not', () => {
  const context = {
    ...contextOf({}),
    [kubeletKeys.tokens]: 'secret',
    'venafi.cert-manager.io/custom-fields': '[{"name":"$POD_NAME"}]',
    'example.com/a/b': 'c',
    'no-domain': 'x',
    '/leading': 'x',
    'trailing/': 'x',
  }
  const result = parseVolumeSpec(context)
  expect(result.ok && result.spec.annotations).toEqual({
    'venafi.cert-manager.io/custom-fields': '[{"name":"$POD_NAME"}]',
    'example.com/a/b': 'c',
  })
})

test('an unknown attribute is told, with what was meant, and does no harm', () => {
  expect(warningsOf({ 'dns-names': 'a', keyusages: 'any', 'venafi-zone': 'x' })).toEqual([
    'keyusages: unknown attribute, ignored, did you mean csi.cert-manager.io/key-usages?',
    'venafi-zone: unknown attribute, ignored',
  ])
})

test('a password is quoted in no answer', () => {
  const result = parseVolumeSpec(contextOf({ 'pkcs12-password': 'hunter2', duration: 'x' }))
  expect(JSON.stringify(result)).not.toContain('hunter2')
})

test('what is told of a volume is bounded, whatever its author writes', () => {
  const long = 'x'.repeat(100_000)
  const many = Array.from({ length: 10_000 }, (_, index) => `$V${index}`).join(',')
  const result = parseVolumeSpec(
    contextOf({
      'dns-names': many,
      'ip-sans': many,
      duration: long,
      'key-algorithm': long,
      'key-usages': long,
      [long]: '',
    }),
  )
  const problems = result.ok ? [] : result.problems
  expect(problems).toHaveLength(50)
  for (const { message } of problems) expect(message.length).toBeLessThanOrEqual(1000)
  const unknown = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`dns-name${index}`, 'x']))
  const accepted = parseVolumeSpec(contextOf({ [long]: '', ...unknown }))
  const warnings = accepted.ok ? accepted.warnings : []
  expect(warnings).toHaveLength(50)
  for (const { attribute } of warnings) expect(attribute.length).toBeLessThanOrEqual(1000)
})

test('any context is a volume or a list of what is wrong with it, each named', () => {
  const names = fc.constantFrom(
    ...([
      'common-name',
      'dns-names',
      'ip-sans',
      'uri-sans',
      'duration',
      'is-ca',
      'key-usages',
      'key-algorithm',
    ] as const),
    ...([
      'key-size',
      'key-encoding',
      'certificate-file',
      'ca-file',
      'layout',
      'fs-group',
      'renew-before',
      'odd',
    ] as const),
  )
  const words = fc.constantFrom(
    'true',
    'RSA',
    'ecdsa',
    '256',
    '1h',
    '$POD_NAME',
    'a',
    'any',
    '::1',
    'urn:a',
    'a/b',
    '1',
  )
  const values = fc.oneof(
    fc.string(),
    words,
    fc.array(words).map((found) => found.join(',')),
  )
  fc.assert(
    fc.property(fc.dictionary(names, values), (attributes) => {
      const result = parseVolumeSpec(contextOf(attributes))
      const problems = result.ok ? [{ attribute: attributePrefix, message: 'none' }] : result.problems
      expect(problems.length).toBeGreaterThan(0)
      for (const { attribute } of problems) expect(attribute.startsWith(attributePrefix)).toBe(true)
      const spec = result.ok ? result.spec : parse({})
      expect(spec.duration).toBeGreaterThan(0)
      expect(spec.usages.length).toBeGreaterThan(0)
      for (const name of [...spec.names.dns, ...spec.names.uri]) expect(name).toMatch(/^[!-~]+$/)
    }),
    { numRuns: 500 },
  )
})
