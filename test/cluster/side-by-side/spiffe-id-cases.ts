import type { SideCase, Told } from './case.ts'
import { namespaces } from './crd-cases.ts'
import { differences } from './differences.ts'
import { type MadeObject, spiffeId } from './objects.ts'

const { namespace, off } = namespaces
const trustDomain = 'spiffe://example.org'
const parentId = `${trustDomain}/k8s-workload-registrar/demo/node/n1`

/** A SpiffeID that asks for an ID of its own name. */
function asking(name: string, changes: object = {}, inNamespace = namespace): MadeObject {
  const selector = { namespace: inNamespace, podName: name }
  return spiffeId(inNamespace, name, { spiffeId: `${trustDomain}/${name}`, parentId, selector, ...changes })
}

function refused(name: string, old: Told | 'none', because: (typeof differences)[keyof typeof differences]) {
  return { of: `id/${name}`, first: { old, podpass: 'none' as const, because } }
}

/** SpiffeIDs that people write. */
export const spiffeIdCases: readonly SideCase[] = [
  {
    name: 'a SpiffeID is an entry, and goes with it',
    of: 'id/plain',
    objects: [asking('plain')],
    first: { both: { id: 'plain' } },
    afterwards: { change: (world) => world.remove(`spiffeid plain -n ${namespace}`), outcome: { both: 'none' } },
  },
  {
    name: 'every kind of selector',
    of: 'id/selected',
    objects: [
      asking('selected', {
        selector: {
          namespace,
          podLabel: { app: 'web', tier: 'front' },
          podName: 'web-0',
          podUid: '11111111-1111-1111-1111-111111111111',
          serviceAccount: 'shop',
          containerName: 'main',
          containerImage: 'shop:1',
          nodeName: 'n1',
          arbitrary: ['pod-owner:ReplicaSet:web', 'pod-init-image-count:0'],
        },
      }),
    ],
    first: { both: { id: 'selected' } },
    afterwards: {
      change: (world) => world.apply(asking('selected', { selector: { namespace, serviceAccount: 'other' } })),
      outcome: { both: { id: 'selected' } },
    },
  },
  {
    name: 'DNS names keep their order, and follow it',
    of: 'id/ordered',
    objects: [asking('ordered', { dnsNames: ['b.test', 'a.test', '*.c.test'] })],
    first: { both: { id: 'ordered', dnsNames: ['b.test', 'a.test', '*.c.test'] } },
    afterwards: {
      change: (world) => world.apply(asking('ordered', { dnsNames: ['a.test', 'b.test'] })),
      outcome: { both: { id: 'ordered', dnsNames: ['a.test', 'b.test'] } },
    },
  },
  {
    name: 'a SpiffeID that federates',
    of: 'id/federating',
    objects: [asking('federating', { federatesWith: ['partner.test'] })],
    first: { both: { id: 'federating', federatesWith: ['partner.test'] } },
    afterwards: {
      change: (world) => world.apply(asking('federating', { federatesWith: ['other.test'] })),
      outcome: {
        old: { id: 'federating', federatesWith: ['partner.test'] },
        podpass: { id: 'federating', federatesWith: ['other.test'] },
        because: differences.spiffeIdFederation,
      },
    },
  },
  {
    name: 'a downstream SpiffeID of a namespace that may have some',
    of: 'id/downstream',
    objects: [asking('downstream', { downstream: true })],
    first: { both: { id: 'downstream', downstream: true } },
    afterwards: {
      change: (world) => world.apply(asking('downstream', { downstream: false })),
      outcome: { both: { id: 'downstream' } },
    },
  },
  {
    name: 'a downstream SpiffeID of another namespace',
    ...refused('no-ca', { id: 'no-ca', downstream: true }, differences.downstream),
    objects: [asking('no-ca', { downstream: true }, off)],
  },
  {
    name: 'another ID and another parent are changes of the same entry',
    of: 'id/moved-there',
    objects: [asking('moved')],
    first: { both: 'none' },
    afterwards: {
      change: (world) =>
        world.apply(
          asking('moved', {
            spiffeId: `${trustDomain}/moved-there`,
            parentId: `${trustDomain}/k8s-workload-registrar/demo/node/n3`,
          }),
        ),
      outcome: { both: { id: 'moved-there' } },
    },
  },
  {
    name: "an alias of all nodes in the registrar's namespace",
    of: 'id/all-nodes',
    objects: [
      spiffeId('spire', 'all-nodes', {
        spiffeId: `${trustDomain}/all-nodes`,
        parentId: `${trustDomain}/spire/server`,
        selector: { cluster: 'demo' },
      }),
    ],
    first: { both: { id: 'all-nodes' } },
  },
  {
    name: 'a workload under an alias of all nodes',
    of: 'id/anywhere',
    objects: [asking('anywhere', { parentId: `${trustDomain}/all-nodes` })],
    first: { both: { id: 'anywhere' } },
  },
  {
    name: 'an alias of all nodes in another namespace',
    ...refused('not-all-nodes', { id: 'not-all-nodes' }, differences.spiffeIdRules),
    objects: [asking('not-all-nodes', { selector: { cluster: 'demo' }, parentId: `${trustDomain}/spire/server` })],
  },
  {
    name: "another namespace's pods",
    ...refused('theirs', { id: 'theirs' }, differences.spiffeIdRules),
    objects: [asking('theirs', { selector: { namespace: 'kube-system', podName: 'theirs' } })],
  },
  {
    name: 'a parent that is no alias of nodes',
    ...refused('orphan', { id: 'orphan' }, differences.parents),
    objects: [asking('orphan', { parentId: `${trustDomain}/spire/server` })],
  },
  {
    name: "an ID of SPIRE's own makes no entry",
    of: 'id/spire/agent/fake',
    objects: [
      spiffeId(namespace, 'fake', { spiffeId: `${trustDomain}/spire/agent/fake`, parentId, selector: { namespace } }),
    ],
    first: { both: 'none' },
  },
  {
    name: "an ID of a node's alias",
    ...refused(
      `k8s-workload-registrar/other/node/n1`,
      { id: 'k8s-workload-registrar/other/node/n1' },
      differences.reserved,
    ),
    objects: [
      spiffeId(namespace, 'alias', {
        spiffeId: `${trustDomain}/k8s-workload-registrar/other/node/n1`,
        parentId,
        selector: { namespace },
      }),
    ],
  },
  {
    name: 'an ID of another trust domain makes no entry',
    of: 'id/foreign',
    objects: [asking('foreign', { spiffeId: 'spiffe://example.orgevil/foreign' })],
    first: { both: 'none' },
  },
  {
    name: 'no selector makes no entry',
    of: 'id/unselected',
    objects: [asking('unselected', { selector: {} })],
    first: { both: 'none' },
  },
]
