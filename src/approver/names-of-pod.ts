import { isIPv4 } from 'node:net'
import type { Pod } from '../kubernetes/object.ts'
import type { Service } from './live-objects.ts'
import { canonicalIp } from './request/asked-names.ts'
import { isDnsName } from '../x509/dns-name.ts'

/** The names that a pod has by being what it is, in the form in which names are compared. */
export interface DerivedNames {
  readonly dnsNames: ReadonlySet<string>
  readonly ipAddresses: ReadonlySet<string>
}

export interface NameOptions {
  /** Such as `cluster.local`. */
  readonly clusterDomain: string
  readonly allowBareNames: boolean
  readonly allowPodIPs: boolean
}

/**
 * Services that send their traffic to a pod by their own selector. Membership is decided by labels, not by EndpointSlices: while its
 * first volumes are mounted, a pod has no address yet and is in none. An ExternalName, or a Service without a selector, leads wherever
 * its author likes.
 */
export function servicesOf(pod: Pod, services: readonly Service[]): Service[] {
  const labels = pod.metadata.labels ?? {}
  return services.filter(({ metadata, spec = {} }) => {
    const selector = Object.entries(spec.selector ?? {})
    if (spec.type === 'ExternalName' || selector.length === 0 || metadata.deletionTimestamp !== undefined) return false
    return metadata.namespace === pod.metadata.namespace && selector.every(([key, value]) => labels[key] === value)
  })
}

/**
 * The DNS names and addresses by which the cluster's own DNS and Services lead to a pod: those of its Services, its own below a
 * headless one, and cluster addresses. Never external or load-balancer addresses, which their owner can point elsewhere.
 */
export function namesOfPod(pod: Pod, allServices: readonly Service[], options: NameOptions): DerivedNames {
  const { namespace = '' } = pod.metadata
  const services = servicesOf(pod, allServices)
  const dnsNames = new Set<string>()
  const ipAddresses = new Set<string>()
  const add = (name: string): void => {
    for (const full of [`${name}.${namespace}.svc`, `${name}.${namespace}.svc.${options.clusterDomain}`])
      dnsNames.add(full)
    if (options.allowBareNames) for (const bare of [name, `${name}.${namespace}`]) dnsNames.add(bare)
  }
  for (const service of services) add(service.metadata.name ?? '')
  const { hostname = pod.metadata.name ?? '', subdomain, hostNetwork = false } = pod.spec ?? {}
  const own = services.find(({ metadata, spec }) => metadata.name === subdomain && spec?.clusterIP === 'None')
  // https://kubernetes.io/docs/concepts/services-networking/dns-pod-service: only with the headless Service of that name.
  if (subdomain !== undefined && own !== undefined && !hostname.includes('.')) add(`${hostname}.${subdomain}`)
  for (const address of services.flatMap(clusterAddresses)) ipAddresses.add(canonicalIp(address))
  if (options.allowPodIPs && !hostNetwork)
    for (const address of podAddresses(pod)) ipAddresses.add(canonicalIp(address))
  return { dnsNames: new Set([...dnsNames].filter((name) => isDnsName(name))), ipAddresses }
}

function clusterAddresses({ spec = {} }: Service): string[] {
  const addresses = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP])
  return addresses.filter(isAddress)
}

function podAddresses({ status = {} }: Pod): string[] {
  const addresses = status.podIPs?.map(({ ip }) => ip) ?? (status.podIP === undefined ? [] : [status.podIP])
  return addresses.filter(isAddress)
}

/** `None` and the empty text are no addresses. */
function isAddress(text: string): boolean {
  return isIPv4(text) || text.includes(':')
}
