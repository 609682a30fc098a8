import type { SideCase } from './case.ts'
import { differences } from './differences.ts'
import { addressed, node, pod, service, spiffeId } from './objects.ts'

/** Where the pods of the cases are, and a namespace that is disabled. */
export const namespaces = { namespace: 'side-crd', off: 'side-crd-off' }

const { namespace, off } = namespaces
const account = `ns/${namespace}/sa/default`
const of = (name: string): string => `pod/${namespace}/${name}`
const federation = 'spiffe.io/federatesWith'
const alias = (name: string): string => `k8s-workload-registrar/demo/node/${name}`
const named = (...dnsNames: readonly string[]) => ({ id: account, dnsNames })
const longName = `long-${'x'.repeat(60)}`

/** Pods and nodes with SpiffeIDs that the registrar makes, with the mode's defaults. */
export const generatedCases: readonly SideCase[] = [
  {
    name: "a pod's ID is its service account's, and its name is the DNS name",
    of: of('web'),
    objects: [pod(namespace, 'web')],
    first: { both: named('web') },
    afterwards: { change: (world) => world.remove(`pod web -n ${namespace}`), outcome: { both: 'none' } },
  },
  {
    name: 'a name with dots is a DNS name',
    of: of('with.dots.0'),
    objects: [pod(namespace, 'with.dots.0')],
    first: { both: named('with.dots.0') },
  },
  {
    name: "a pod's name that is too long for DNS",
    of: of(longName),
    objects: [pod(namespace, longName)],
    first: { old: 'none', podpass: named(), because: differences.refusedNames },
  },
  {
    name: 'a pod behind a service has its name',
    of: of('behind'),
    objects: [
      service(namespace, 'web', { app: 'web' }),
      pod(namespace, 'behind', { ip: '10.3.0.1', labels: { app: 'web' } }),
    ],
    first: { both: named('behind', `web.${namespace}.svc`) },
    afterwards: {
      change: (world) => world.mark(namespace, 'behind', { labels: { app: null } }),
      outcome: {
        old: named('behind', `web.${namespace}.svc`),
        podpass: named('behind'),
        because: differences.readiness,
      },
    },
  },
  {
    name: 'a pod behind a service before it is ready',
    of: of('unready'),
    objects: [
      service(namespace, 'slow', { app: 'slow' }),
      pod(namespace, 'unready', { ip: '10.3.0.2', labels: { app: 'slow' }, isReady: false }),
    ],
    first: {
      old: named('unready'),
      podpass: named('unready', `slow.${namespace}.svc`),
      because: differences.readiness,
    },
    afterwards: {
      change: (world) => world.setStatus(namespace, 'unready', addressed('10.3.0.2')),
      outcome: { both: named('unready', `slow.${namespace}.svc`) },
    },
  },
  {
    name: 'a service that comes later gives its name, and takes it along',
    of: of('early'),
    objects: [pod(namespace, 'early', { ip: '10.3.0.3', labels: { app: 'early' } })],
    first: { both: named('early') },
    afterwards: {
      change: (world) => world.apply(service(namespace, 'later', { app: 'early' })),
      outcome: { both: named('early', `later.${namespace}.svc`) },
    },
  },
  {
    name: 'a service that goes takes its name along',
    of: of('served'),
    objects: [
      service(namespace, 'brief', { app: 'brief' }),
      pod(namespace, 'served', { ip: '10.3.0.4', labels: { app: 'brief' } }),
    ],
    first: { both: named('served', `brief.${namespace}.svc`) },
    afterwards: {
      change: (world) => world.remove(`service brief -n ${namespace}`),
      outcome: { both: named('served') },
    },
  },
  {
    name: 'a pod of a disabled namespace has no entry',
    of: `pod/${off}/web`,
    objects: [pod(off, 'web')],
    first: { both: 'none' },
  },
  {
    name: 'a pod that has no node waits for it',
    of: of('pending'),
    objects: [pod(namespace, 'pending', { node: '' })],
    first: { both: 'none' },
    afterwards: { change: (world) => world.schedule(namespace, 'pending', 'n1'), outcome: { both: named('pending') } },
  },
  {
    name: 'a pod whose deletion has begun keeps its entry',
    of: of('ending'),
    objects: [pod(namespace, 'ending')],
    first: { both: named('ending') },
    afterwards: {
      change: (world) => world.beginToRemove(`pod ending -n ${namespace}`),
      outcome: { both: named('ending') },
    },
  },
  {
    name: 'a pod that has completed',
    of: of('job'),
    objects: [pod(namespace, 'job')],
    first: { both: named('job') },
    afterwards: {
      change: (world) => world.setStatus(namespace, 'job', addressed('10.3.0.5', false, 'Succeeded')),
      outcome: { old: named('job'), podpass: 'none', because: differences.completed },
    },
  },
  {
    name: 'a pod federates with the trust domains of its annotation',
    of: of('federated'),
    objects: [pod(namespace, 'federated', { annotations: { [federation]: 'partner.test,other.test' } })],
    first: { both: { ...named('federated'), federatesWith: ['other.test', 'partner.test'] } },
    afterwards: {
      change: (world) => world.mark(namespace, 'federated', { annotations: { [federation]: 'other.test' } }),
      outcome: {
        old: { ...named('federated'), federatesWith: ['other.test', 'partner.test'] },
        podpass: { ...named('federated'), federatesWith: ['other.test'] },
        because: differences.federationChanges,
      },
    },
  },
  {
    name: 'a trust domain without a bundle',
    of: of('unknown'),
    objects: [pod(namespace, 'unknown', { annotations: { [federation]: 'missing.test' } })],
    first: { old: 'none', podpass: named('unknown'), because: differences.federation },
  },
  {
    name: 'a node has an alias by its UID until it is gone',
    of: 'node/n2',
    objects: [node('n1'), node('n2')],
    first: { both: { id: alias('n2') } },
    afterwards: { change: (world) => world.remove('node n2'), outcome: { both: 'none' } },
  },
  {
    name: "a node's annotation does not make its alias federate",
    of: 'node/n3',
    objects: [node('n3', { [federation]: 'partner.test' })],
    first: { both: { id: alias('n3') } },
  },
  {
    name: 'a pod whose name a SpiffeID of a person has gets no entry',
    of: of('taken'),
    objects: [
      spiffeId(namespace, 'taken', {
        spiffeId: 'spiffe://example.org/by-hand',
        parentId: `spiffe://example.org/${alias('n1')}`,
        selector: { namespace, podName: 'taken' },
      }),
      pod(namespace, 'taken'),
    ],
    first: { both: { id: 'by-hand' } },
  },
]
