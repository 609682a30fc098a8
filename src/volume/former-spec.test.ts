import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dnsNameProblem, uriProblem } from './alternative-names.ts'
import { attributeNames, attributePrefix, kubeletKeys } from './attributes.ts'
import { parseFormerSpec } from './former-spec.ts'
import { parseVolumeSpec, standardDefaults } from './spec.ts'

const pod = {
  [kubeletKeys.ephemeral]: 'true',
  [kubeletKeys.podName]: 'web-0',
  [kubeletKeys.podNamespace]: 'sandbox',
  [kubeletKeys.podUid]: '0b8e2c6a',
  [kubeletKeys.serviceAccount]: 'web',
}

function contextOf(attributes: Readonly<Record<string, string>>): Record<string, string> {
  const prefixed = Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])
  return {
    ...pod,
    [`${attributePrefix}issuer-name`]: 'ca',
    ...(Object.fromEntries(prefixed) as Record<string, string>),
  }
}

function read(attributes: Readonly<Record<string, string>>) {
  const parsed = parseFormerSpec(contextOf(attributes), standardDefaults)
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join('; '))
  return parsed
}

/** What is told of an attribute. */
function told(attributes: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = read(attributes).warnings.map(({ attribute, message }) => [
    attribute.slice(attributePrefix.length),
    message,
  ])
  return Object.fromEntries(entries) as Record<string, string>
}

describe('attributes that are refused to new volumes and that the Go csi-driver takes', () => {
  test('a lifetime of nothing becomes the default, and a lead of less than nothing a third', () => {
    const { spec } = read({ duration: '-1h', 'renew-before': '0' })
    expect(spec.duration).toBe(standardDefaults.duration)
    expect(spec.renewal.before).toBeUndefined()
  })

  test('the group that stands for none has no effect, and one that the Go driver refuses too is a problem', () => {
    expect(read({ 'fs-group': '4294967295' }).spec.fsGroup).toBeUndefined()
    expect(told({ 'fs-group': '4294967295' })['fs-group']).toMatch(/until the pod is restarted it has no effect$/)
  })

  test('names that no peer would match are left out, the others stay', () => {
    expect(read({ 'dns-names': 'a.example, b c.example ,${POD_NAME}.example' }).spec.names.dns).toEqual([
      'a.example',
      'web-0.example',
    ])
    expect(told({ 'dns-names': 'b c.example', 'ip-sans': '192.0.2.1' })['dns-names']).toContain('is left out')
  })

  test.each([
    ['spiffe://td/a b|c', 'spiffe://td/a%20b%7Cc'],
    ['SPIFFE://td/ns/${POD_NAMESPACE}/{x}', 'spiffe://td/ns/sandbox/%7Bx%7D'],
    ['https://example.com/ü', 'https://example.com/%C3%BC'],
  ])('the URI %s is escaped, as Go writes it: %s', (uri, written) => {
    expect(read({ 'uri-sans': uri }).spec.names.uri).toEqual([written])
  })

  test('a URI that Go refuses to read back is left out', () => {
    expect(read({ 'uri-sans': 'https://a..b/x,spiffe://td/x' }).spec.names.uri).toEqual(['spiffe://td/x'])
  })

  test('what the Go driver does not know is passed over, all of it, where any of it is wrong', () => {
    const wrong = { 'jks-enable': 'true', 'disable-auto-renew': 'true', layout: 'flat' }
    const { spec } = read(wrong)
    expect(spec.keystores.jks).toBeUndefined()
    expect(spec.renewal.automatic).toBe(true)
    expect(Object.keys(told(wrong)).sort()).toEqual([...Object.keys(wrong), 'dns-names'].sort())
    expect(told(wrong)['layout']).toMatch(/^is passed over, .*: unsupported value "flat"/)
  })

  test('no DNS, IP or URI name is refused to new volumes alone', () => {
    const strict = { ...standardDefaults, requireSan: true }
    expect(parseVolumeSpec(contextOf({}), strict).ok).toBe(false)
    expect(parseFormerSpec(contextOf({}), strict).ok).toBe(true)
  })
})

test.each([
  ['issuer-name', ''],
  ['certificate-file', 'a\u0000b'],
  ['dns-names', '${NO_SUCH_VARIABLE} x'],
  ['literal-subject', 'NOSUCHTYPE=x'],
  ['pkcs12-enable', 'true'],
  ['fs-group', 'root'],
  ['fs-group', '-1'],
  ['duration', 'a day'],
  ['renew-before', '1d'],
])('where no meaning is clear it is a problem: %s: %s', (name, text) => {
  const parsed = parseFormerSpec(contextOf({ [name]: text }), standardDefaults)
  expect(parsed).toMatchObject({ ok: false })
})

/** Some attributes with some text: often right, often wrong. */
const attributes = fc.dictionary(
  fc.constantFrom(...attributeNames, 'no-such-attribute'),
  fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.constantFrom('true', 'false', '1h', '-1h', '0', '4294967295', 'a b,c', 'spiffe://td/a b', '${POD_NAME}', 'O=x'),
  ),
  { maxKeys: 8 },
)

test('what is accepted of new volumes is read alike', () => {
  fc.assert(
    fc.property(attributes, (given) => {
      const strict = parseVolumeSpec(contextOf(given), standardDefaults)
      fc.pre(strict.ok)
      expect(JSON.stringify(read(given))).toBe(JSON.stringify(strict))
    }),
  )
})

test('whatever is given and read is a volume of that pod and issuer, with names that can be signed', () => {
  fc.assert(
    fc.property(attributes, (given) => {
      const context = contextOf(given)
      const parsed = parseFormerSpec(context, standardDefaults)
      fc.pre(parsed.ok)
      const { spec } = parsed
      expect(spec.pod.uid).toBe(context[kubeletKeys.podUid])
      expect(spec.issuer.name).toBe(context[`${attributePrefix}issuer-name`])
      expect(spec.names.dns.filter((name) => dnsNameProblem(name) !== undefined)).toEqual([])
      expect(spec.names.uri.filter((name) => uriProblem(name) !== undefined)).toEqual([])
    }),
  )
})
