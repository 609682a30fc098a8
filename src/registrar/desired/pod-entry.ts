import type { Selector } from '../../spire/entry.ts'
import { formatSpiffeId } from '../../spire/spiffe-id.ts'
import type { ObservedPod, ServiceAddress } from '../observed.ts'
import type { Rendering } from '../rendering.ts'
import { dnsNamesOf } from './dns-names.ts'
import { federationOf } from './federation.ts'
import type { IdentityRules } from './identity-rules.ts'
import { podPath } from './pod-path.ts'

/** What an entry depends on besides its pod. */
export interface Surroundings {
  /** The addresses that lead to the pod, of services of its namespace. */
  readonly addresses: readonly ServiceAddress[]
  /** The trust domains that the server has bundles of; undefined where they do not matter, and all are taken. */
  readonly bundles: ReadonlySet<string> | undefined
}

/**
 * The entry that a pod should have. It depends on nothing but what it is given.
 *
 * In crd mode it is what the pod's SpiffeID says.
 */
export function podEntry(rules: IdentityRules, pod: ObservedPod, { addresses, bundles }: Surroundings): Rendering {
  const { trustDomain } = rules
  const failed = podChecks(rules, pod).find(({ passed }) => !passed)
  if (failed !== undefined) return { is: 'none', reason: failed.why }
  const found = podPath(rules, pod)
  if (found.is !== 'path') return found
  const { dnsNames, notices } = dnsNamesOf(rules.names, pod, addresses)
  const federation = federationOf(pod.annotations, trustDomain, bundles)
  return {
    is: 'entry',
    spec: {
      spiffeId: formatSpiffeId({ trustDomain, path: found.path }),
      parentId: formatSpiffeId({ trustDomain, path: parentPath(rules, pod) }),
      selectors: podSelectors(rules, pod),
      dnsNames,
      federatesWith: federation.federatesWith,
      downstream: false,
    },
    notices: [...notices, ...federation.notices],
  }
}

/** A rule that a pod as a whole has to pass, whatever its ID would be. */
export interface PodCheck {
  readonly rule: 'namespace' | 'phase' | 'termination' | 'node'
  readonly passed: boolean
  /** How the pod stands to it, as a clause: `it has no node yet`. */
  readonly why: string
}

/** Every rule that decides whether a pod may have an entry. The first that it does not pass is why it has none. */
export function podChecks(
  { disabledNamespaces, termination, parents, podsBy }: IdentityRules,
  { namespace, phase, terminating, ended, nodeName }: ObservedPod,
): readonly PodCheck[] {
  const checks: PodCheck[] = []
  const check = (rule: PodCheck['rule'], passed: boolean, yes: string, no: string): void => {
    checks.push({ rule, passed, why: passed ? yes : no })
  }
  const isEnabled = !disabledNamespaces.has(namespace)
  check('namespace', isEnabled, `its namespace ${namespace} is not disabled`, `its namespace ${namespace} is disabled`)
  check('phase', phase !== 'Succeeded' && phase !== 'Failed', 'it has not completed', 'it has completed')
  if (termination === 'at_deletion')
    check('termination', !terminating, 'it is not being deleted', 'it is being deleted')
  if (termination === 'when_ended')
    check('termination', !ended, 'its containers have not ended', 'its containers have ended')
  if (parents === 'node' || podsBy === 'uid')
    check('node', nodeName !== '', `it is on the node ${nodeName}`, 'it has no node yet')
  return checks
}

function parentPath({ aliasRoot, parents }: IdentityRules, { nodeName }: ObservedPod): string {
  return parents === 'cluster' ? aliasRoot : `${aliasRoot}/${nodeName}`
}

function podSelectors({ podsBy }: IdentityRules, { namespace, name, uid, nodeName }: ObservedPod): readonly Selector[] {
  const values =
    podsBy === 'name'
      ? [`ns:${namespace}`, `pod-name:${name}`]
      : [`pod-uid:${uid}`, `ns:${namespace}`, `node-name:${nodeName}`]
  return values.map((value) => ({ type: 'k8s', value }))
}
