import { isIPv6 } from 'node:net'
import { dnsNameProblem } from '../../spire/dns-name.ts'
import type { ObservedPod, ServiceAddress } from '../observed.ts'
import { expandPodTemplate, PodTemplateError } from '../template/pod-template.ts'
import type { NameSource } from './identity-rules.ts'
import { shortList } from './short-list.ts'

/** An entry's DNS names, the common name first, and what was left out. */
export interface DnsNames {
  readonly dnsNames: readonly string[]
  readonly notices: readonly string[]
}

/** How many DNS names an entry has at the most: a certificate with all of these is about 16 KiB, which a TLS handshake still takes. */
export const mostNames = 256

/**
 * The DNS names of a pod. A name that the server would refuse is left out, and never the identity with it.
 *
 * @param addresses - those that lead to it, of services of its namespace
 */
export function dnsNamesOf(source: NameSource, pod: ObservedPod, addresses: readonly ServiceAddress[]): DnsNames {
  const own = addresses.filter(({ podUid }) => podUid === '' || podUid === pod.uid)
  switch (source.by) {
    case 'nothing':
      return { dnsNames: [], notices: [] }
    case 'cluster dns':
      return usable(clusterDnsNames(pod, own, source.zone), [])
    case 'templates': {
      const { names, notices } = templateNames(source, pod)
      return usable([...names, ...(source.services ? serviceDnsNames(pod.namespace, own) : [])], notices)
    }
    default:
      return source satisfies never
  }
}

/**
 * The names that the cluster's DNS has for a pod (kubernetes.io, DNS for Services and Pods): those of its address first, then those of
 * the services in order. None before it has an address.
 *
 * @param zone - such as `cluster.local`
 */
function clusterDnsNames(pod: ObservedPod, addresses: readonly ServiceAddress[], zone: string): readonly string[] {
  if (pod.ip === '') return []
  const { namespace } = pod
  const ofServices = new Set<string>()
  for (const prefix of ofOneFamily(pod, addresses).flatMap((address) => servicePrefixes(pod, address))) {
    for (const suffix of [`.${namespace}.svc.${zone}`, `.${namespace}.svc`, `.${namespace}`, '']) {
      ofServices.add(prefix + suffix)
    }
  }
  const ofPod = `${dashed(pod.ip)}.${namespace}.pod`
  return [`${ofPod}.${zone}`, ofPod, ...[...ofServices].sort()]
}

/** A service of two families leads to the same pod twice: then only the address of the pod's own family makes names. */
function ofOneFamily({ ip: own }: ObservedPod, addresses: readonly ServiceAddress[]): readonly ServiceAddress[] {
  const isOwn = ({ ip }: ServiceAddress): boolean => isIPv6(ip) === isIPv6(own)
  const services = new Set(addresses.filter(isOwn).map(({ service }) => service))
  return addresses.filter((address) => isOwn(address) || !services.has(address.service))
}

/** A name with a dot in it is not one of a service or host. */
function servicePrefixes(pod: ObservedPod, { service, ip, hostname }: ServiceAddress): readonly string[] {
  if (service === '' || service.includes('.')) return []
  if (hostname !== '' && !hostname.includes('.')) return [service, `${hostname}.${service}`]
  const byName = pod.name.includes('.') ? [] : [`${pod.name}.${service}`]
  return [service, `${dashed(ip)}.${service}`, ...byName]
}

/** As it is written: no zeros of an IPv6 address are filled in. */
function dashed(ip: string): string {
  return ip.replaceAll(/[.:]/g, '-')
}

/**
 * The name of each service, `web.shop.svc`, in order. Whether an address is ready plays no part: a name that comes and goes would make
 * agents renew the certificate each time.
 */
export function serviceDnsNames(namespace: string, addresses: readonly ServiceAddress[]): readonly string[] {
  return [...new Set(addresses.map(({ service }) => `${service}.${namespace}.svc`))].sort()
}

function templateNames(
  { templates }: Extract<NameSource, { readonly by: 'templates' }>,
  pod: ObservedPod,
): { readonly names: readonly string[]; readonly notices: readonly string[] } {
  const names: string[] = []
  const notices: string[] = []
  for (const template of templates) {
    try {
      names.push(expandPodTemplate(template, pod))
    } catch (error) {
      if (!(error instanceof PodTemplateError)) throw error
      notices.push(error.message)
    }
  }
  return { names, notices }
}

function usable(names: readonly string[], notices: readonly string[]): DnsNames {
  const good: string[] = []
  const odd: string[] = []
  for (const name of new Set(names)) (dnsNameProblem(name) === undefined ? good : odd).push(name)
  const added: string[] = []
  if (odd.length > 0) added.push(`no certificate can hold the DNS names ${shortList(odd)}: they were left out`)
  if (good.length > mostNames) added.push(`of ${good.length} DNS names, the first ${mostNames} are in the certificate`)
  return { dnsNames: good.slice(0, mostNames), notices: [...notices, ...added] }
}
