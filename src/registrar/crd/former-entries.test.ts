import { expect, test } from 'vitest'
import type { Entry } from '../../spire/entry.ts'
import { aliasRoot, serverId } from './fixtures/spiffe-ids.ts'
import { formerOwner } from './former-entries.ts'

const layout = { serverId, aliasRoot, cluster: 'demo' }

function entry(values: readonly string[], changes: Partial<Entry> = {}): Entry {
  return {
    id: 'e1',
    spiffeId: 'spiffe://example.org/ns/shop/sa/web',
    parentId: `${aliasRoot}/n1`,
    selectors: values.map((value) => {
      const [type = '', ...rest] = value.split(':')
      return { type, value: rest.join(':') }
    }),
    dnsNames: [],
    federatesWith: [],
    downstream: false,
    revision: 0n,
    admin: false,
    ...changes,
  }
}

const pod = ['k8s:pod-uid:p1', 'k8s:ns:shop', 'k8s:node-name:n1']
const node = { spiffeId: `${aliasRoot}/n1`, parentId: serverId }

test.each<[string, string | undefined, Entry]>([
  ["a pod's", 'p1', entry(pod)],
  ["a node's", 'n-uid', entry(['k8s_psat:agent_node_uid:n-uid', 'k8s_psat:cluster:demo'], node)],
  ["one that somebody made by hand under a node's alias", undefined, entry(['k8s:ns:shop', 'k8s:pod-name:web'])],
  ["a pod's with one selector more", undefined, entry([...pod, 'k8s:sa:web'])],
  ["a pod's under another node", undefined, entry(pod, { parentId: `${aliasRoot}/n2` })],
  ["a pod's under another root", undefined, entry(pod, { parentId: `${aliasRoot}-x/n1` })],
  ["a pod's that is downstream", undefined, entry(pod, { downstream: true })],
  ["another cluster's node", undefined, entry(['k8s_psat:agent_node_uid:n-uid', 'k8s_psat:cluster:other'], node)],
  ["reconcile mode's node", undefined, entry(['k8s_psat:agent_node_name:n1', 'k8s_psat:cluster:demo'], node)],
  ['the alias of the cluster', undefined, entry(['k8s_psat:cluster:demo'], { ...node, spiffeId: aliasRoot })],
])('%s belongs to %s', (_what, owner, made) => {
  expect(formerOwner(made, layout)).toBe(owner)
})
