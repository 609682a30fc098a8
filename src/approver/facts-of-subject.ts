import type { LiveObjects } from './live-objects.ts'
import { servicesOf } from './names-of-pod.ts'
import type { Fact, Facts } from './names/fact.ts'
import type { Subject } from './subject.ts'

/** What templates may know of a subject. */
export function factsOfSubject(subject: Subject, live: LiveObjects, clusterDomain: string): Facts {
  const { origin, namespace, serviceAccount, pod, node, livePod } = subject
  const known = (value: string | undefined): Fact | undefined =>
    value === undefined ? undefined : { values: [value], origin }
  // What its author wrote as he liked, and can change: no name may rest on it alone.
  const written = (values: Readonly<Record<string, string>> | undefined, key = ''): Fact => {
    const value = values !== undefined && Object.hasOwn(values, key) ? values[key] : undefined
    return { values: value === undefined ? [] : [value], origin: 'written' }
  }
  const accountObject = () =>
    namespace === undefined || serviceAccount === undefined
      ? undefined
      : live.serviceAccount(namespace, serviceAccount.name)
  const namespaceObject = () => (namespace === undefined ? undefined : live.namespace(namespace))
  return (name, key) => {
    switch (name) {
      case 'namespace':
        return known(namespace)
      case 'pod.name':
        return known(pod?.name)
      case 'pod.uid':
        return known(pod?.uid)
      case 'serviceAccount.name':
        return known(serviceAccount?.name)
      case 'serviceAccount.uid':
        return known(serviceAccount?.uid)
      case 'node.name':
        return known(node)
      case 'cluster.domain':
        return { values: [clusterDomain], origin: 'attested' }
      case 'service.name': {
        const services = livePod === undefined ? [] : servicesOf(livePod, live.services(namespace ?? ''))
        return { values: services.map(({ metadata }) => metadata.name ?? ''), origin: 'live' }
      }
      case 'pod.labels':
        return written(livePod?.metadata.labels, key)
      case 'pod.annotations':
        return written(livePod?.metadata.annotations, key)
      case 'serviceAccount.labels':
        return written(accountObject()?.metadata.labels, key)
      case 'serviceAccount.annotations':
        return written(accountObject()?.metadata.annotations, key)
      case 'namespace.labels':
        return written(namespaceObject()?.metadata.labels, key)
      case 'namespace.annotations':
        return written(namespaceObject()?.metadata.annotations, key)
    }
  }
}
