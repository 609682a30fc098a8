import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Answer, type AskedCertificate, checkAnswer } from './answer.ts'
import type { CertificateProfile } from './authority.ts'
import { noNames } from './general-names.ts'
import { encodePrivateKey } from './key.ts'
import { buildSubject } from './name.ts'
import { day, hour, minute, newKey, now, testAuthority, testLeaf, webNames } from './test-pki.ts'

const root = testAuthority('root')
const intermediate = testAuthority('intermediate', { parent: root })
const key = newKey()
const asked: AskedCertificate = {
  key,
  names: webNames,
  commonName: 'web',
  usages: ['digital signature', 'server auth', 'client auth'],
  isCA: false,
  duration: hour,
}
const rootPem = root.certificate.pem

function leafPem(profile: Partial<CertificateProfile> = {}): string {
  return testLeaf(intermediate, key, { names: webNames, ...profile }).pem
}

function answerWith(chain: string, ca: string | undefined = rootPem): Answer {
  return { chain, ca }
}

const good = answerWith(leafPem() + intermediate.certificate.pem)

test('a good answer has neither problems nor warnings', () => {
  const { leaf, chain, problems, warnings } = checkAnswer(good, asked, now)
  expect({ problems, warnings }).toEqual({ problems: [], warnings: [] })
  expect(leaf?.commonName).toBe('web')
  expect(chain.map(({ subject }) => subject)).toEqual(['CN=web', 'CN=intermediate'])
})

describe('takes without a word', () => {
  test.each<[string, Answer, Partial<AskedCertificate>]>([
    ['a chain up to the root', answerWith(good.chain + rootPem), {}],
    ['a bundle of several roots', answerWith(good.chain, testAuthority('other').certificate.pem + rootPem), {}],
    ['a CA given that is the intermediate', answerWith(good.chain, intermediate.certificate.pem), {}],
    ['a chain of the leaf alone under its own issuer', answerWith(leafPem(), intermediate.certificate.pem), {}],
    [
      'names in another spelling',
      good,
      { names: { ...webNames, dns: ['WEB.example', '*.web.EXAMPLE'], ip: ['10.0.0.1', '2001:DB8:0::1'] } },
    ],
    ['usages under their second names', good, { usages: ['signing', 'server auth', 'client auth', 'client auth'] }],
    [
      'a beginning that was moved back by 5 minutes',
      answerWith(leafPem({ notBefore: now - 5 * minute }) + intermediate.certificate.pem),
      {},
    ],
    [
      'a beginning within the skew',
      answerWith(leafPem({ notBefore: now + 5 * minute, notAfter: now + 65 * minute }) + intermediate.certificate.pem),
      {},
    ],
    [
      'a lifetime within 1 % of that asked for',
      answerWith(leafPem({ notAfter: now + 9 * day }) + intermediate.certificate.pem),
      { duration: 9 * day + 2 * hour },
    ],
    [
      'a CA with the usage that makes it one',
      answerWith(leafPem({ isCA: true }) + intermediate.certificate.pem),
      { isCA: true },
    ],
  ])('%s', (_name, answer, part) => {
    const { problems, warnings } = checkAnswer(answer, { ...asked, ...part }, now)
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] })
  })
})

describe('refuses', () => {
  const stranger = testLeaf(intermediate, newKey(), { names: webNames })
  const namesake = testAuthority('intermediate', { parent: root })

  test.each<[string, Answer, string]>([
    ['an empty answer', answerWith(''), 'the answer holds no certificate'],
    ['a text that is no certificate', answerWith('null'), 'the answer holds no certificate'],
    [
      'broken PEM',
      answerWith(`-----BEGIN CERTIFICATE-----\n${good.chain}`),
      'the answer cannot be read: broken PEM: line 2: BEGIN inside the block of line 1',
    ],
    [
      'a private key in the answer',
      answerWith(good.chain + encodePrivateKey(newKey(), 'PKCS8')),
      'the answer cannot be read: expected PEM blocks CERTIFICATE, got PRIVATE KEY',
    ],
    [
      'a certificate for another key',
      answerWith(stranger.pem + intermediate.certificate.pem),
      'the certificate CN=web is for another key than the one of the request',
    ],
    [
      'a leaf that is not first',
      answerWith(intermediate.certificate.pem + leafPem()),
      'the certificate for the requested key is number 2 of 2, and it must be the first',
    ],
    [
      'an expired certificate',
      answerWith(leafPem({ notBefore: now - hour, notAfter: now - minute }) + intermediate.certificate.pem),
      'the certificate expired at 2026-11-22T09:59:00Z, and it is 2026-11-22T10:00:00Z here',
    ],
    [
      'a certificate from beyond the skew',
      answerWith(leafPem({ notBefore: now + 6 * minute, notAfter: now + day }) + intermediate.certificate.pem),
      'the certificate does not hold before 2026-11-22T10:06:00Z, and it is 2026-11-22T10:00:00Z here',
    ],
    [
      'missing names',
      answerWith(leafPem({ names: { ...webNames, dns: ['web.example'], uri: [] } }) + intermediate.certificate.pem),
      'the certificate lacks DNS:*.web.example, URI:spiffe://example.org/ns/sandbox/sa/web of the names asked for; it has DNS:web.example, IP:10.0.0.1, IP:2001:db8::1, email:web@example.org',
    ],
    [
      'no names',
      answerWith(leafPem({ names: noNames }) + intermediate.certificate.pem),
      'the certificate lacks DNS:web.example, DNS:*.web.example, IP:10.0.0.1, IP:2001:db8::1, URI:spiffe://example.org/ns/sandbox/sa/web, email:web@example.org of the names asked for; it has none',
    ],
    [
      'a chain out of order',
      answerWith(leafPem() + rootPem + intermediate.certificate.pem),
      'the chain contradicts itself: its certificate 2, CN=root, is not CN=intermediate, the issuer of CN=web',
    ],
    [
      'a chain of somebody else',
      answerWith(leafPem() + namesake.certificate.pem, ''),
      'the chain contradicts itself: its certificate 2, CN=intermediate, did not sign CN=web',
    ],
    [
      'another CA than the one that signed',
      answerWith(good.chain, testAuthority('root').certificate.pem),
      'the certificate does not verify with the CA given: CN=root did not sign CN=intermediate',
    ],
    [
      'a chain with a gap',
      answerWith(leafPem()),
      'the certificate does not verify with the CA given: nothing that is given or trusted has the name of its issuer, CN=intermediate',
    ],
    [
      'a CA that cannot be read',
      answerWith(good.chain, rootPem.slice(0, -30)),
      'the CA given cannot be read: broken PEM: the block of line 1 has no END',
    ],
    ['a chain without end', answerWith(good.chain.repeat(100)), 'the answer is over 100000 bytes'],
    ['a bundle without end', answerWith(good.chain, rootPem.repeat(1000)), 'the CA given is over 400000 bytes'],
    [
      'a CA without a certificate',
      answerWith(good.chain, 'the CA'),
      'the CA given holds no certificate that can be read',
    ],
  ])('%s', (_name, answer, problem) => {
    expect(checkAnswer(answer, asked, now).problems).toContain(problem)
  })

  test('an expired certificate for that alone', () => {
    const old = answerWith(leafPem({ notBefore: now - 2 * hour, notAfter: now - hour }) + intermediate.certificate.pem)
    expect(checkAnswer(old, asked, now).problems).toHaveLength(1)
  })

  test('a CA that has expired', () => {
    const short = testAuthority('short', { lifetime: day + minute })
    const leaf = testLeaf(short, key, { names: webNames, notAfter: now + minute })
    const { problems } = checkAnswer({ chain: leaf.pem, ca: short.certificate.pem }, asked, now + 2 * minute)
    expect(problems).toHaveLength(1)
  })
})

describe('warns of', () => {
  const chain = (profile: Partial<CertificateProfile>): Answer =>
    answerWith(leafPem(profile) + intermediate.certificate.pem)

  test.each<[string, Answer, string]>([
    ['no CA', { ...good, ca: undefined }, 'the issuer gave no CA certificate, so the CA file is empty'],
    ['an empty CA', answerWith(good.chain, ' \n'), 'the issuer gave no CA certificate, so the CA file is empty'],
    [
      'extra names',
      chain({ names: { ...webNames, dns: [...webNames.dns, 'evil.example'] } }),
      'the certificate has names that were not asked for: DNS:evil.example',
    ],
    ['no common name', chain({ subject: [] }), 'the common name asked for was "web", and the certificate has none'],
    [
      'another common name',
      chain({ subject: buildSubject({ commonName: 'w\nb' }) }),
      'the common name asked for was "web", and the certificate has "w\u{fffd}b"',
    ],
    [
      'missing usages',
      chain({ usages: ['digital signature'] }),
      'the certificate lacks the usages server auth, client auth',
    ],
    [
      'extra usages',
      chain({ usages: [...asked.usages, 'code signing'] }),
      'the certificate has usages that were not asked for: code signing',
    ],
    ['a CA', chain({ isCA: true }), 'a certificate of no CA was asked for, and this is one of a CA'],
    [
      'a longer lifetime',
      chain({ notAfter: now + day }),
      'a lifetime of 1h was asked for, and the certificate has 24h',
    ],
    [
      'a shorter lifetime',
      chain({ notAfter: now + 90_000 }),
      'a lifetime of 1h was asked for, and the certificate has 1m30s',
    ],
  ])('%s', (_name, answer, warning) => {
    const { problems, warnings } = checkAnswer(answer, asked, now)
    expect(problems).toEqual([])
    expect(warnings).toContain(warning)
  })

  test('CA certificates that cannot be read among others that can', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nBQA=\n-----END CERTIFICATE-----\n'
    const { problems, warnings } = checkAnswer(answerWith(good.chain, rootPem + broken), asked, now)
    expect({ problems, warnings }).toEqual({
      problems: [],
      warnings: ['1 of the CA certificates given cannot be read'],
    })
  })

  test('a common name that was not asked for', () => {
    const { warnings } = checkAnswer(good, { ...asked, commonName: undefined }, now)
    expect(warnings).toEqual(['the common name asked for was none, and the certificate has "web"'])
  })
})

test('messages neither grow with the answer nor break a line', () => {
  const long = `${'x'.repeat(300)}\n.example`
  const dns = Array.from({ length: 100 }, (_, index) => index + long)
  const profile = {
    names: { ...webNames, dns: [...webNames.dns, ...dns] },
    subject: buildSubject({ commonName: long }),
  }
  const answer = answerWith(leafPem(profile) + intermediate.certificate.pem)
  const { problems, warnings } = checkAnswer(answer, { ...asked, key: newKey() }, now)
  expect(problems).toHaveLength(1)
  expect(warnings).toHaveLength(2)
  expect(warnings[0]).toMatch(/ and 92 more$/)
  for (const message of [...problems, ...warnings]) {
    expect(message.length).toBeLessThan(3000)
    expect(message).not.toContain('\n')
  }
})

test('whatever an issuer sends, there is an answer, and garbage is a problem', () => {
  const pem = (der: Uint8Array): string => `-----BEGIN CERTIFICATE-----\n${der.toBase64()}\n-----END CERTIFICATE-----\n`
  const leaf = testLeaf(intermediate, key, { names: webNames })
  const changed = fc
    .array(fc.tuple(fc.nat({ max: leaf.der.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce((der, [place, byte]) => der.with(place, byte), new Uint8Array(leaf.der)))
    .filter((der) => Buffer.compare(der, leaf.der) !== 0)
  const garbage = fc.oneof(fc.string(), fc.uint8Array().map(pem), changed.map(pem))
  const part = fc.oneof(garbage, fc.constantFrom(leaf.pem, intermediate.certificate.pem, rootPem))
  const text = fc.array(part, { maxLength: 4 }).map((parts) => parts.join('\n'))
  fc.assert(
    fc.property(text, fc.option(text, { nil: undefined }), (chain, ca) => {
      const { leaf, problems } = checkAnswer({ chain, ca }, asked, now)
      expect(leaf !== undefined || problems.length > 0).toBe(true)
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(changed, (der) => {
      const chain = pem(der) + intermediate.certificate.pem
      expect(checkAnswer({ chain, ca: rootPem }, asked, now).problems).not.toEqual([])
    }),
    { numRuns: 500 },
  )
})
