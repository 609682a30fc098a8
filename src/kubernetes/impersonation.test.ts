import * as fc from 'fast-check'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { KubernetesClient } from './client.ts'
import { answer, FaultyServer, makeTlsPair, type TlsPair } from './fixtures/faulty-server.ts'
import { impersonationHeaders } from './impersonation.ts'
import { pods } from './resource.ts'

let pair: TlsPair
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  pair = await makeTlsPair('server')
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

const jane = { user: 'jane', uid: 'u-1', groups: ['developers', 'admins'], extra: { 'acme.com/Project': ['a', 'b'] } }

test('each part has its header, and keys are escaped as client-go does', () => {
  expect(impersonationHeaders(jane)).toEqual({
    'impersonate-user': 'jane',
    'impersonate-uid': 'u-1',
    'impersonate-group': ['developers', 'admins'],
    'impersonate-extra-acme.com%2fproject': ['a', 'b'],
  })
  expect(impersonationHeaders({ user: 'jane', uid: undefined, groups: [], extra: { empty: [] } })).toEqual({
    'impersonate-user': 'jane',
  })
})

test('requests are made in the name of somebody else, those with a token in that of its owner', async () => {
  const server = await FaultyServer.start(pair, (request) => answer(request, 200, { metadata: {} }))
  opened.push(server)
  const config = server.config({ authentication: { by: 'token', token: 'own' }, impersonation: jane })
  const client = new KubernetesClient(config)
  opened.push(client)
  const pod = { namespace: 'sandbox', name: 'web-0' }
  await client.get(pods, pod)
  await client.get(pods, pod, { token: 'of-a-pod' })
  const sent = server.received.map(({ headers }) => [
    headers.authorization,
    headers['impersonate-user'],
    headers['impersonate-group'],
    headers['impersonate-extra-acme.com%2fproject'],
  ])
  expect(sent).toEqual([
    ['Bearer own', 'jane', 'developers, admins', 'a, b'],
    ['Bearer of-a-pod', undefined, undefined, undefined],
  ])
})

test('what would begin another header is refused', () => {
  for (const wrong of ['a\nimpersonate-group: system:masters', 'a\r', '\0']) {
    expect(() => impersonationHeaders({ ...jane, user: wrong })).toThrow('impersonation: user: expected a text without')
    expect(() => impersonationHeaders({ ...jane, uid: wrong })).toThrow('uid')
    expect(() => impersonationHeaders({ ...jane, groups: [wrong] })).toThrow('groups')
    expect(() => impersonationHeaders({ ...jane, extra: { a: [wrong] } })).toThrow('user-extra')
  }
})

test('whatever a key is, it makes a legal header name that says the same', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'binary' }), (key) => {
      const [, name = ''] = Object.keys(
        impersonationHeaders({ user: 'a', uid: undefined, groups: [], extra: { [key]: ['v'] } }),
      )
      expect(name).toMatch(/^impersonate-extra-[a-z0-9!#$%&'*+.^_`|~-]+$/)
      const escaped = name.slice('impersonate-extra-'.length)
      expect(decodeURIComponent(escaped)).toBe(
        key.toWellFormed().replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()),
      )
    }),
  )
})
