import type { SideCase } from './case.ts'
import { differences } from './differences.ts'
import { addressed, node, pod, serviceAccount } from './objects.ts'

/** Where the pods of the cases are, a namespace that is disabled, and one that is disabled later. */
export const namespaces = { namespace: 'side-accounts', off: 'side-off', later: 'side-later' }

const { namespace, off, later } = namespaces
const account = `ns/${namespace}/sa/default`
const of = (name: string): string => `pod/${namespace}/${name}`
const federation = 'spiffe.io/federatesWith'
const federated = (name: string, value: string) => pod(namespace, name, { annotations: { [federation]: value } })
const alias = (name: string): string => `with-accounts/demo/node/${name}`

/** IDs from service accounts, the life of pods and nodes, and federation, in reconcile mode. */
export const accountCases: readonly SideCase[] = [
  {
    name: "a pod's ID is its service account's",
    of: of('web'),
    objects: [serviceAccount(namespace, 'shop'), pod(namespace, 'web', { serviceAccount: 'shop' })],
    first: { both: { id: `ns/${namespace}/sa/shop` } },
  },
  {
    name: 'a pod that is deleted loses its entry',
    of: of('short'),
    objects: [pod(namespace, 'short')],
    first: { both: { id: account } },
    afterwards: { change: (world) => world.remove(`pod short -n ${namespace}`), outcome: { both: 'none' } },
  },
  {
    name: 'a pod in the place of another has an ID of its own',
    of: of('again'),
    objects: [serviceAccount(namespace, 'successor'), pod(namespace, 'again')],
    first: { both: { id: account } },
    afterwards: {
      async change(world) {
        await world.remove(`pod again -n ${namespace}`)
        await world.apply(pod(namespace, 'again', { serviceAccount: 'successor' }))
      },
      outcome: { both: { id: `ns/${namespace}/sa/successor` } },
    },
  },
  {
    name: 'a pod whose deletion has begun',
    of: of('ending'),
    objects: [pod(namespace, 'ending')],
    first: { both: { id: account } },
    afterwards: {
      change: (world) => world.beginToRemove(`pod ending -n ${namespace}`),
      outcome: { old: 'none', podpass: { id: account }, because: differences.termination },
    },
  },
  {
    name: 'a pod that has completed',
    of: of('job'),
    objects: [pod(namespace, 'job')],
    first: { both: { id: account } },
    afterwards: {
      change: (world) => world.setStatus(namespace, 'job', addressed('10.2.0.1', false, 'Succeeded')),
      outcome: { old: { id: account }, podpass: 'none', because: differences.completed },
    },
  },
  {
    name: 'a pod that has no node waits for it',
    of: of('pending'),
    objects: [pod(namespace, 'pending', { node: '' })],
    first: { both: 'none' },
    afterwards: {
      change: (world) => world.schedule(namespace, 'pending', 'n2'),
      outcome: { both: { id: account } },
    },
  },
  {
    name: 'a pod of a disabled namespace has no entry',
    of: `pod/${off}/web`,
    objects: [pod(off, 'web')],
    first: { both: 'none' },
  },
  {
    name: 'a static pod has no account, and no entry',
    of: of('static'),
    objects: [pod(namespace, 'static', { isStatic: true })],
    first: { both: 'none' },
  },
  {
    name: 'a pod federates with the trust domains of its annotation',
    of: of('federated'),
    objects: [federated('federated', 'partner.test,other.test')],
    first: { both: { id: account, federatesWith: ['other.test', 'partner.test'] } },
    afterwards: {
      change: (world) => world.mark(namespace, 'federated', { annotations: { [federation]: 'other.test' } }),
      outcome: {
        old: { id: account, federatesWith: ['other.test', 'partner.test'] },
        podpass: { id: account, federatesWith: ['other.test'] },
        because: differences.federationChanges,
      },
    },
  },
  {
    name: 'a space in the federation annotation',
    of: of('spaced'),
    objects: [federated('spaced', 'partner.test, other.test')],
    first: {
      old: 'none',
      podpass: { id: account, federatesWith: ['other.test', 'partner.test'] },
      because: differences.federation,
    },
  },
  {
    name: 'a federation annotation that is empty',
    of: of('empty'),
    objects: [federated('empty', '')],
    first: { old: 'none', podpass: { id: account }, because: differences.federation },
  },
  {
    name: 'a trust domain without a bundle',
    of: of('unknown'),
    objects: [federated('unknown', 'partner.test,missing.test')],
    first: {
      old: 'none',
      podpass: { id: account, federatesWith: ['partner.test'] },
      because: differences.federation,
    },
  },
  {
    name: 'a node has an alias until it is gone',
    of: 'node/n2',
    objects: [node('n2')],
    first: { both: { id: alias('n2') } },
    afterwards: { change: (world) => world.remove('node n2'), outcome: { both: 'none' } },
  },
  {
    name: 'a node may have dots in its name',
    of: 'node/n3.example.test',
    objects: [node('n3.example.test')],
    first: { both: { id: alias('n3.example.test') } },
  },
  {
    name: "a node's annotation makes its alias federate",
    of: 'node/n4',
    objects: [node('n4', { [federation]: 'partner.test' })],
    first: { both: { id: alias('n4'), federatesWith: ['partner.test'] } },
  },
  {
    name: 'a node that comes later has its alias',
    of: 'node/n5',
    first: { both: 'none' },
    afterwards: { change: (world) => world.apply(node('n5')), outcome: { both: { id: alias('n5') } } },
  },
  {
    name: 'a node whose deletion has begun',
    of: 'node/n6',
    objects: [node('n6')],
    first: { both: { id: alias('n6') } },
    afterwards: {
      change: (world) => world.beginToRemove('node n6'),
      outcome: { old: 'none', podpass: { id: alias('n6') }, because: differences.nodeTermination },
    },
  },
  {
    name: 'a pod of a namespace that is disabled later',
    of: `pod/${later}/web`,
    objects: [pod(later, 'web')],
    first: { both: { id: `ns/${later}/sa/default` } },
  },
]
