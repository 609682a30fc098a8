import { expect, test } from 'vitest'
import { readCertificates } from '../x509/certificate.ts'
import { shakeHands } from './handshake.ts'
import type { Credentials } from './pod-view.ts'
import { sampleAuthority, sampleCredentials } from './sample.ts'
import { makeStranger } from './stranger.ts'

const authority = sampleAuthority('ca-issuer')
const client = sampleCredentials(authority, { dns: ['client.example'] })
const leafOf = ({ certificate }: Credentials) => readCertificates(certificate)[0]!

test.each([
  ['a DNS name', { dns: ['server.example'] }],
  ['a wildcard', { dns: ['*.server.example'] }],
  ['an IP address', { ip: ['10.1.2.3'] }],
  ['an IPv6 address', { ip: ['2001:db8::1'] }],
  ['a SPIFFE ID', { uri: ['spiffe://cluster.local/ns/sandbox/sa/default'] }],
  ['no name at all', {}],
])('two peers of one issuer agree where the server has %s', async (_what, names) => {
  const server = sampleCredentials(authority, names)
  const outcome = await shakeHands({ credentials: client }, { credentials: server }, leafOf(server))
  expect(outcome.client).toMatchObject({ ended: 'agreed', protocol: 'TLSv1.3' })
  expect(outcome.server).toMatchObject({ ended: 'agreed', protocol: 'TLSv1.3' })
})

test.each([
  ['DNS name', { dns: ['server.example'] }, { dns: ['other.example'] }],
  ['IP address', { ip: ['10.1.2.3'] }, { ip: ['10.1.2.4'] }],
  ['SPIFFE ID', { uri: ['spiffe://a/b'] }, { uri: ['spiffe://a/c'] }],
])('the client refuses a server of another %s', async (_what, expected, given) => {
  const wanted = leafOf(sampleCredentials(authority, expected))
  const outcome = await shakeHands(
    { credentials: client },
    { credentials: sampleCredentials(authority, given) },
    wanted,
  )
  expect(outcome.client.ended).toBe('refused')
  expect(outcome.server.ended).toBe('cut off')
})

test('a stranger is refused as a client, even one that trusts anybody', async () => {
  const server = sampleCredentials(authority, { dns: ['server.example'] })
  const stranger = await makeStranger(leafOf(client), Date.now())
  const outcome = await shakeHands(
    { credentials: stranger, trustsAnyone: true },
    { credentials: server },
    leafOf(server),
  )
  expect(outcome.server).toMatchObject({
    ended: 'refused',
    reason: expect.stringContaining('a CA that it does not trust') as string,
  })
  expect(outcome.client.ended).toBe('cut off')
})

test('a stranger is refused as a server', async () => {
  const server = sampleCredentials(authority, { dns: ['server.example'] })
  const stranger = await makeStranger(leafOf(server), Date.now())
  const outcome = await shakeHands(
    { credentials: client },
    { credentials: stranger, trustsAnyone: true },
    leafOf(server),
  )
  expect(outcome.client).toMatchObject({
    ended: 'refused',
    reason: expect.stringContaining('a CA that it does not trust') as string,
  })
  expect(outcome.server.ended).toBe('cut off')
})

test('a client whose certificate is for servers only is refused with the reason', async () => {
  const server = sampleCredentials(authority, { dns: ['server.example'] })
  const serverOnly = sampleCredentials(authority, { dns: ['client.example'] }, ['server auth'])
  const outcome = await shakeHands({ credentials: serverOnly }, { credentials: server }, leafOf(server))
  expect(outcome.server).toEqual({ ended: 'refused', reason: 'INVALID_PURPOSE' })
})
