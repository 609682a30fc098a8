import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkAnswer } from '../../x509/answer.ts'
import { noNames } from '../../x509/general-names.ts'
import { hour, newKey, now, testAuthority, testLeaf } from '../../x509/test-pki.ts'
import { readSignedCertificate } from './signed-certificate.ts'

const root = testAuthority('root')
const policy = testAuthority('policy', { parent: root })
const issuing = testAuthority('issuing', { parent: policy })
const crossed = testAuthority('policy', { parent: testAuthority('old root') })
const key = newKey()

/** An answer of Vault's, whose PEM has no line end at its end. */
function answer(signer: typeof root, chain: readonly (typeof root)[] | undefined) {
  const leaf = testLeaf(signer, key)
  const pem = (authority: typeof root): string => authority.certificate.pem.trim()
  return {
    data: {
      certificate: leaf.pem.trim(),
      serial_number: '39:dd',
      issuing_ca: pem(signer),
      ...(chain === undefined ? {} : { ca_chain: chain.map(pem) }),
    },
  }
}

describe('what Vault signed', () => {
  test.each([
    ['by a root', root, [root], [], root],
    ['by a root, without a chain', root, undefined, [], root],
    ['by an intermediate whose root is known', issuing, [issuing, policy, root], [issuing, policy], root],
    ['by an intermediate, in another order', issuing, [root, policy, issuing], [issuing, policy], root],
    ['by an intermediate whose root is not known', issuing, [issuing, policy], [issuing, policy], policy],
    ['by an intermediate, without a chain', issuing, undefined, [issuing], issuing],
    [
      'by an intermediate, with a cross-signed one besides',
      issuing,
      [issuing, crossed, policy, root],
      [issuing, policy],
      root,
    ],
  ])('%s, is a chain without root that verifies with its CA', (_how, signer, chain, intermediates, ca) => {
    const signed = readSignedCertificate(answer(signer, chain))
    const [, ...rest] = (signed?.chain ?? '').split(/(?=-----BEGIN)/)
    expect(rest).toEqual(intermediates.map(({ certificate }) => certificate.pem))
    expect(signed?.ca).toBe(ca.certificate.pem)
    expect(signed?.serial).toBe('39:dd')
    const asked = { key, names: noNames, commonName: 'web', isCA: false, duration: hour } as const
    const usages = ['digital signature', 'server auth', 'client auth'] as const
    expect(checkAnswer(signed ?? { chain: '', ca: '' }, { ...asked, usages }, now)).toMatchObject({
      problems: [],
      warnings: [],
    })
  })

  test.each([
    ['nothing', undefined],
    ['no data', { data: null }],
    ['no certificate', { data: { certificate: '', serial_number: '1', issuing_ca: '' } }],
    ['no PEM', { data: { certificate: 'x', serial_number: '1', issuing_ca: 'x' } }],
    ['a broken chain', { data: { ...answer(root, [root]).data, ca_chain: ['-----BEGIN CERTIFICATE-----'] } }],
  ])('cannot be read from %s', (_what, body) => {
    const signed = readSignedCertificate(body)
    expect(signed?.chain ?? '').not.toContain('BEGIN')
  })

  test('whatever comes, reading it does not throw', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), fc.array(fc.string()), (value, text, chain) => {
        readSignedCertificate(value)
        const { certificate } = answer(root, undefined).data
        const data = {
          certificate: value === null ? certificate : text,
          serial_number: text,
          issuing_ca: text,
          ca_chain: chain,
        }
        expect(() => readSignedCertificate({ data })).not.toThrow()
      }),
    )
  })
})
