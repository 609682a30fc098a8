import type { SideCase, Told } from './case.ts'
import { differences } from './differences.ts'
import { addressed, endpoints, node, pod, service } from './objects.ts'

/** Where the pods of the cases are. */
export const namespace = 'side-names'

const account = `ns/${namespace}/sa/default`
const of = (name: string): string => `pod/${namespace}/${name}`
const inCluster = (name: string, made: Parameters<typeof pod>[2]) => pod(namespace, name, made)

/** The names of a pod's address, then those of services, in order. */
function named(dashedIp: string, ...prefixes: readonly string[]): Told {
  const ofPod = `${dashedIp}.${namespace}.pod`
  const forms = (prefix: string): readonly string[] =>
    [`.${namespace}.svc.cluster.local`, `.${namespace}.svc`, `.${namespace}`, ''].map((suffix) => prefix + suffix)
  return { id: account, dnsNames: [`${ofPod}.cluster.local`, ofPod, ...prefixes.flatMap(forms).toSorted()] }
}

const longName = `long-${'x'.repeat(60)}`

/** Names of pods and services, with `add_pod_dns_names`. */
export const dnsCases: readonly SideCase[] = [
  {
    name: 'a pod without an address has no names, and gets them with its address',
    of: of('plain'),
    objects: [inCluster('plain', {})],
    first: { both: { id: account } },
    afterwards: {
      change: (world) => world.setStatus(namespace, 'plain', addressed('10.1.0.1')),
      outcome: { both: named('10-1-0-1') },
    },
  },
  {
    name: 'a pod behind a service has the names of the service, and loses them as it leaves',
    of: of('behind'),
    objects: [
      service(namespace, 'web', { app: 'web' }),
      inCluster('behind', { ip: '10.1.0.2', labels: { app: 'web' } }),
    ],
    first: { both: named('10-1-0-2', 'web', '10-1-0-2.web', 'behind.web') },
    afterwards: {
      change: (world) => world.mark(namespace, 'behind', { labels: { app: null } }),
      outcome: { both: named('10-1-0-2') },
    },
  },
  {
    name: 'a pod with a host name has the name of it behind its service',
    of: of('db-0'),
    objects: [
      service(namespace, 'db', { app: 'db' }),
      inCluster('db-0', { ip: '10.1.0.3', labels: { app: 'db' }, hostname: 'primary', subdomain: 'db' }),
    ],
    first: { both: named('10-1-0-3', 'db', 'primary.db') },
  },
  {
    name: 'the names of two services are in order, and those of one that goes are taken away',
    of: of('shared'),
    objects: [
      service(namespace, 'zeta', { both: 'yes' }),
      service(namespace, 'alpha', { both: 'yes' }),
      inCluster('shared', { ip: '10.1.0.4', labels: { both: 'yes' } }),
    ],
    first: {
      both: named('10-1-0-4', 'alpha', '10-1-0-4.alpha', 'shared.alpha', 'zeta', '10-1-0-4.zeta', 'shared.zeta'),
    },
    afterwards: {
      change: (world) => world.remove(`service zeta -n ${namespace}`),
      outcome: { both: named('10-1-0-4', 'alpha', '10-1-0-4.alpha', 'shared.alpha') },
    },
  },
  {
    name: 'a pod with dots in its name has no name by it',
    of: of('with.dots.0'),
    objects: [
      service(namespace, 'dotted', { app: 'dotted' }),
      inCluster('with.dots.0', { ip: '10.1.0.5', labels: { app: 'dotted' } }),
    ],
    first: { both: named('10-1-0-5', 'dotted', '10-1-0-5.dotted') },
  },
  {
    name: 'an address counts before it is ready',
    of: of('unready'),
    objects: [
      service(namespace, 'slow', { app: 'slow' }),
      inCluster('unready', { ip: '10.1.0.6', labels: { app: 'slow' }, isReady: false }),
    ],
    first: { both: named('10-1-0-6', 'slow', '10-1-0-6.slow', 'unready.slow') },
    afterwards: {
      change: (world) => world.setStatus(namespace, 'unready', addressed('10.1.0.6', true)),
      outcome: { both: named('10-1-0-6', 'slow', '10-1-0-6.slow', 'unready.slow') },
    },
  },
  {
    name: 'a service that comes later gives its names',
    of: of('early'),
    objects: [inCluster('early', { ip: '10.1.0.7', labels: { app: 'early' } })],
    first: { both: named('10-1-0-7') },
    afterwards: {
      change: (world) => world.apply(service(namespace, 'later', { app: 'early' })),
      outcome: { both: named('10-1-0-7', 'later', '10-1-0-7.later', 'early.later') },
    },
  },
  {
    name: 'Endpoints that somebody writes for a service without a selector make its names',
    of: of('by-hand'),
    objects: [
      service(namespace, 'manual'),
      endpoints(namespace, 'manual', 'by-hand', '10.1.0.8'),
      inCluster('by-hand', { ip: '10.1.0.8' }),
    ],
    first: { both: named('10-1-0-8', 'manual', '10-1-0-8.manual', 'by-hand.manual') },
  },
  {
    name: 'Endpoints whose name has a dot make no names',
    of: of('dotted-service'),
    objects: [
      endpoints(namespace, 'dotted.service', 'dotted-service', '10.1.0.9'),
      inCluster('dotted-service', { ip: '10.1.0.9' }),
    ],
    first: { both: named('10-1-0-9') },
  },
  {
    name: 'Endpoints without a service make names',
    of: of('loose'),
    objects: [endpoints(namespace, 'loose', 'loose', '10.1.0.10'), inCluster('loose', { ip: '10.1.0.10' })],
    first: {
      old: named('10-1-0-10', 'loose', '10-1-0-10.loose', 'loose.loose'),
      podpass: named('10-1-0-10'),
      because: differences.looseEndpoints,
    },
  },
  {
    name: 'an IPv6 address makes a name as it is written',
    of: of('six'),
    objects: [inCluster('six', { ip: 'fd00:1:2::3' })],
    first: { both: named('fd00-1-2--3') },
  },
  {
    name: 'an address that makes a name that the server refuses',
    of: of('odd'),
    objects: [inCluster('odd', { ip: 'fd::1' })],
    first: { old: 'none', podpass: { id: account }, because: differences.refusedNames },
  },
  {
    name: "a pod's name that is too long for DNS",
    of: of(longName),
    objects: [
      service(namespace, 'wide', { app: 'wide' }),
      inCluster(longName, { ip: '10.1.0.12', labels: { app: 'wide' } }),
    ],
    first: {
      old: 'none',
      podpass: named('10-1-0-12', 'wide', '10-1-0-12.wide'),
      because: differences.refusedNames,
    },
  },
  {
    name: 'a node has no names',
    of: 'node/n1',
    objects: [node('n1')],
    first: { both: { id: 'with-names/demo/node/n1' } },
  },
]
