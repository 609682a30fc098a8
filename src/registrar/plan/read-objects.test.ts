import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { readObjects } from './read-objects.ts'

const keys = { labels: ['spiffe'], annotations: [] }
const read = (text: string, name = 'a.yaml') => readObjects([{ name, text }], keys)

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'shop', name: 'web-0', uid: 'u1', labels: { spiffe: 'web', other: 'x' } },
  spec: { nodeName: 'n1', serviceAccountName: 'web' },
  status: { phase: 'Running' },
}
const node = { kind: 'Node', metadata: { name: 'n1', uid: 'uid-n1' } }

test('YAML and JSON, single objects and lists are the same', () => {
  const list = { kind: 'List', items: [pod, node] }
  const expected = read(JSON.stringify(list))
  expect(expected.listing.pods).toMatchObject([{ namespace: 'shop', name: 'web-0', labels: { spiffe: 'web' } }])
  expect(expected.listing.nodes).toMatchObject([{ name: 'n1' }])
  for (const text of [
    stringify(list),
    `${stringify(pod)}---\n${stringify(node)}`,
    `${JSON.stringify(pod)}${JSON.stringify(node)}`,
  ]) {
    expect(read(text)).toEqual(expected)
  }
})

test('the items of a PodList need not say that they are pods', () => {
  const { kind: _, ...bare } = pod
  const list = { kind: 'PodList', items: [bare] }
  expect(read(JSON.stringify(list)).listing.pods).toHaveLength(1)
  expect(read(stringify(list)).listing.pods).toHaveLength(1)
})

test('an object without a namespace is in the namespace default, and other kinds are counted', () => {
  const { listing, ignored } = read(
    stringify({ ...pod, metadata: { name: 'lone' } }) + '---\nkind: Service\nmetadata: {name: web}\n',
  )
  expect(listing.pods).toMatchObject([{ namespace: 'default', name: 'lone', uid: '' }])
  expect([...ignored]).toEqual([['Service', 1]])
})

test.each([
  ['kind: Pod', 'has no metadata.name'],
  ['metadata: {name: x}', 'has no kind'],
  ['just a text', 'is no object of Kubernetes'],
  ['kind: Pod\nmetadata: {name: x}\nspec: [1]', 'has a spec that is no object'],
  [
    'kind: Pod\nmetadata: {name: x, labels: {spiffe: true}}',
    'has a value of metadata.labels that is no text, of spiffe: it may need quotes',
  ],
  ['kind: Pod\nmetadata: {name: x, uid: 7}', 'has a metadata.uid that is no text'],
  [
    'kind: Pod\nmetadata: {name: x}\nstatus: {containerStatuses: 1}',
    'has status.containerStatuses that are no list of objects',
  ],
  ['kind: Pod\nmetadata: {name: x, labels: no}', 'has a metadata.labels that is no object'],
])('%j is told with its place', (text, message) => {
  expect(read(`# first\n${text}`).problems).toEqual([{ location: { source: 'a.yaml', line: 2, column: 1 }, message }])
})

test('whatever a file holds, it is read or refused, and never thrown over', () => {
  const value = fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .object({ key: fc.constantFrom('kind', 'items', 'metadata', 'name', 'spec', 'status') })
      .map((one) => JSON.stringify(one)),
  )
  fc.assert(
    fc.property(value, (text) => {
      const { problems, listing } = read(text)
      expect(problems.every(({ message }) => message !== '')).toBe(true)
      expect(listing.pods.every(({ name }) => typeof name === 'string')).toBe(true)
    }),
  )
})
