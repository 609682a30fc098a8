import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseUri } from '../request/uri.ts'
import type { Facts } from './fact.ts'
import { expandNameTemplate, readNameTemplate } from './name-template.ts'
import { TemplateError } from './template.ts'

const facts: Facts = (name, key) => {
  const values: Readonly<Record<string, readonly string[]>> = {
    namespace: ['shop'],
    'pod.name': ['web-0'],
    'service.name': ['web', 'api'],
    'cluster.domain': ['cluster.local'],
    'pod.labels[app]': ['front'],
    'pod.labels[evil]': ['a.b'],
  }
  const found = values[key === undefined ? name : `${name}[${key}]`]
  const origin = name === 'service.name' ? 'live' : key === undefined ? 'attested' : 'written'
  return found && { values: found, origin }
}

test.each([
  ['dnsNames', '${pod.name}.${namespace}.svc', ['web-0.shop.svc'], 'attested'],
  [
    'dnsNames',
    '${service.name}.${namespace}.svc.${cluster.domain}',
    ['web.shop.svc.cluster.local', 'api.shop.svc.cluster.local'],
    'live',
  ],
  ['dnsNames', '${pod.labels[app]}.${namespace}.svc', ['front.shop.svc'], 'written'],
  ['dnsNames', '*.${namespace}.svc', ['*.shop.svc'], 'attested'],
  ['uris', 'spiffe://td/ns/${namespace}', ['spiffe://td/ns/shop'], 'attested'],
] as const)('%s %s becomes %j', (kind, text, texts, origin) => {
  expect(expandNameTemplate(readNameTemplate(kind, text), facts)).toEqual({ texts, origin, missing: [] })
})

test('a URI has facts in its path alone', () => {
  expect(() => readNameTemplate('uris', 'spiffe://${namespace}.td/x')).toThrow('facts stand in the path of a URI')
  expect(readNameTemplate('uris', 'spiffe://${cluster.domain}/ns/${namespace}').isPattern).toBe(false)
})

test('a fact that is not known, or whose value would reshape the name, makes no name', () => {
  const unknown = expandNameTemplate(readNameTemplate('dnsNames', '${node.name}.svc'), facts)
  expect(unknown).toMatchObject({ texts: [], missing: ['${node.name} is not known'] })
  const evil = expandNameTemplate(readNameTemplate('dnsNames', '${pod.labels[evil]}.svc'), facts)
  expect(evil).toMatchObject({ texts: [], missing: ['${pod.labels[evil]} has a value that does not fit here'] })
})

test.each([
  ['${pod.nam}.svc', 'there is no fact pod.nam, did you mean pod.name?'],
  ['${pod.name[a]}.svc', '${pod.name} has no key'],
  ['${pod.labels}.svc', '${pod.labels} needs a key, such as ${pod.labels[app]}'],
  ['$POD.svc', 'facts are written as ${pod.name}'],
  ['${pod.name', 'facts are written as ${pod.name}'],
  ['${pod.name}..svc', 'is no DNS name'],
])('%s is refused', (text, message) => {
  expect(() => readNameTemplate('dnsNames', text)).toThrow(message)
  expect(() => readNameTemplate('dnsNames', text)).toThrow(TemplateError)
})

const value = fc.oneof(
  fc.string(),
  fc.constantFrom('a.b', '*', '..', 'a/b', 'a,b', 'a@b', '%2e', 'a:1', '', 'web-0', 'A', 'é', 'a\nb'),
)

test('no value adds a name or a label, reshapes a URI, or brings an asterisk', () => {
  fc.assert(
    fc.property(value, (value) => {
      const facts: Facts = () => ({ values: [value], origin: 'written' })
      const [dns, ...moreDns] = expandNameTemplate(
        readNameTemplate('dnsNames', '${pod.labels[a]}.shop.svc'),
        facts,
      ).texts
      const [uri, ...moreUris] = expandNameTemplate(
        readNameTemplate('uris', 'spiffe://td/ns/${pod.labels[a]}/x'),
        facts,
      ).texts
      const [email] = expandNameTemplate(readNameTemplate('emailAddresses', '${pod.labels[a]}@x.example'), facts).texts
      const [cn] = expandNameTemplate(readNameTemplate('commonNames', 'pod ${pod.labels[a]}'), facts).texts
      expect([...moreDns, ...moreUris]).toEqual([])
      expect((dns ?? 'x.shop.svc').split('.')).toHaveLength(3)
      expect(parseUri(uri ?? 'spiffe://td/ns/x/x')?.segments).toHaveLength(3)
      expect((email ?? 'x@x').split('@')).toHaveLength(2)
      expect(`${dns}${uri}${email}${cn}`).not.toMatch(/\*/)
    }),
    { numRuns: 500 },
  )
})
