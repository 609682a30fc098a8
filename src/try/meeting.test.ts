import { expect, test } from 'vitest'
import { choosePair, meetPeers, meetStranger, podOf } from './meeting.ts'
import { sampleAuthority, samplePlanned, samplePublished } from './sample.ts'

const authority = sampleAuthority('ca-issuer')
const app = samplePublished(samplePlanned('app'), authority)
const peer = samplePublished(samplePlanned('peer'), authority)
const caller = samplePublished(samplePlanned('caller'), authority, ['digital signature', 'client auth'])
const server = samplePublished(samplePlanned('server'), authority, ['digital signature', 'server auth'])
const elsewhere = samplePublished(
  samplePlanned('elsewhere', { 'csi.cert-manager.io/issuer-name': 'other' }),
  sampleAuthority('other'),
)

test.each([
  ['the first two pods', [app, peer], 'sandbox/app sandbox/peer'],
  ['two pods of one issuer', [app, elsewhere, peer], 'sandbox/app sandbox/peer'],
  ['whoever may be client and server', [server, caller], 'sandbox/caller sandbox/server'],
  ['a pod and itself where it is alone', [app], 'sandbox/app sandbox/app'],
])('%s are chosen', (_what, volumes, expected) => {
  const pair = choosePair(volumes)
  expect(typeof pair === 'string' ? pair : `${podOf(pair.client)} ${podOf(pair.server)}`).toBe(expected)
})

test.each([
  ['there are only servers', [server], /none has the usage client auth/],
  ['there are only clients', [caller], /none has the usage server auth/],
])('nobody is chosen where %s', (_what, volumes, reason) => {
  expect(choosePair(volumes)).toMatch(reason)
})

test('peers are expected to agree, and do', async () => {
  expect(await meetPeers({ client: app, server: peer }, 'peers')).toMatchObject({
    client: 'sandbox/app',
    server: 'sandbox/peer',
    asExpected: true,
  })
})

test('a stranger is expected to be refused on either end, and is', async () => {
  const [calls, answers] = await meetStranger({ client: app, server: peer }, Date.now())
  expect(calls).toMatchObject({ client: 'a stranger', server: 'sandbox/peer', asExpected: true })
  expect(answers).toMatchObject({ client: 'sandbox/app', server: 'a stranger', asExpected: true })
})

test('peers of different issuers do not agree, which is not as expected', async () => {
  expect(await meetPeers({ client: app, server: elsewhere }, 'peers')).toMatchObject({ asExpected: false })
})
