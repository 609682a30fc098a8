import { execFileSync, spawnSync } from 'node:child_process'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkCanonical } from './canonical-der.ts'
import { createCertificateRequest } from './certificate-request.ts'
import { children, readDer } from './der-reader.ts'
import { GeneralNameError } from './general-names.ts'
import { parseIpAddress } from './ip-address.ts'
import { nameConstraintExtensions } from './name-constraints.ts'
import { newKey } from './test-pki.ts'

/** The value by cert-manager 1.21's MarshalNameConstraints. */
test('writes what cert-manager writes', () => {
  const extensions = nameConstraintExtensions({
    critical: true,
    permitted: {
      dnsDomains: ['example.com', '.sub.example'],
      ipRanges: ['10.1.2.3/8', '2001:db8:ffff::/36', '0.0.0.0/0'],
      emailAddresses: ['a@b.c', 'example.com'],
      uriDomains: ['.example.com'],
    },
    excluded: { dnsDomains: ['bad.example'], ipRanges: ['192.0.2.1/32'] },
  })
  expect(extensions).toMatchObject([{ id: '2.5.29.30', critical: true }])
  expect(extensions[0]?.value.toHex()).toBe(
    '3081a3a08183300d820b6578616d706c652e636f6d300e820c2e7375622e6578616d706c65300a87080a000000ff0000003022872020010db8f0' +
      '0000000000000000000000fffffffff00000000000000000000000300a870800000000000000003007810561' +
      '40622e63300d810b6578616d706c652e636f6d300e860c2e6578616d706c652e636f6da11b300d820b6261642e6578616d706c65300a8708c000' +
      '0201ffffffff',
  )
})

test('constrains nothing without an extension', () => {
  expect(nameConstraintExtensions({ critical: true })).toEqual([])
  expect(nameConstraintExtensions({ critical: false, permitted: {}, excluded: { dnsDomains: [] } })).toEqual([])
})

test('only what is excluded needs to be given', () => {
  const [extension] = nameConstraintExtensions({ critical: false, excluded: { uriDomains: ['a'] } })
  expect(extension).toEqual({ id: '2.5.29.30', critical: false, value: Uint8Array.fromHex('3007a1053003860161') })
})

test('a range is its network: bits behind the prefix are zero, as is the mask there', () => {
  const address = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat({ max: 32 })),
    fc.tuple(
      fc.ipV6().filter((text) => parseIpAddress(text)?.length === 16),
      fc.nat({ max: 128 }),
    ),
  )
  fc.assert(
    fc.property(address, ([address, prefix]) => {
      const [extension] = nameConstraintExtensions({
        critical: false,
        permitted: { ipRanges: [`${address}/${prefix}`] },
      })
      const value = readDer(extension?.value ?? Uint8Array.of())
      checkCanonical(value)
      const base = children(children(children(value)[0] ?? value)[0] ?? value)[0]?.content ?? Uint8Array.of()
      const bits = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
      const given = bits(parseIpAddress(address) ?? Uint8Array.of())
      const expected = given.slice(0, prefix).padEnd(given.length, '0') + '1'.repeat(prefix).padEnd(given.length, '0')
      expect(bits(base)).toBe(expected)
    }),
  )
})

describe('refuses', () => {
  test.each([
    '',
    '/8',
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '2001:db8::/129',
    '2001:db8::%eth0/32',
    '::ffff:10.0.0.0/104',
    'example.com/8',
  ])('%j as an IP range', (range) => {
    expect(() => nameConstraintExtensions({ critical: true, excluded: { ipRanges: [range] } })).toThrow(
      new GeneralNameError(`${JSON.stringify(range)} is not an IP range such as 10.0.0.0/8 or 2001:db8::/32`),
    )
  })

  test.each([
    [{ dnsDomains: [''] }, 'the DNS domain is empty'],
    [{ emailAddresses: [''] }, 'the e-mail address is empty'],
    [
      { uriDomains: ['bücher.example'] },
      'URI domain "bücher.example" has characters outside ASCII: write the host in its xn-- form',
    ],
  ])('%j', (permitted, message) => {
    expect(() => nameConstraintExtensions({ critical: true, permitted })).toThrow(new GeneralNameError(message))
  })
})

const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)

test.runIf(hasOpenssl)('openssl reads them in a request', () => {
  const extensions = nameConstraintExtensions({
    critical: true,
    permitted: { dnsDomains: ['example.com'], ipRanges: ['10.0.0.0/9', '2001:db8::/33'] },
    excluded: { emailAddresses: ['.example.com'], uriDomains: ['bad.example'] },
  })
  const names = { dns: [], ip: [], uri: [], email: [] }
  const input = createCertificateRequest(newKey(), { subject: [], names, extensions })
  const text = execFileSync('openssl', ['req', '-noout', '-text'], { input, encoding: 'utf8' })
  expect(text.replaceAll(/\s+/g, ' ')).toContain(
    'X509v3 Name Constraints: critical Permitted: DNS:example.com IP:10.0.0.0/255.128.0.0 ' +
      'IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:8000:0:0:0:0:0 Excluded: email:.example.com URI:bad.example',
  )
})
