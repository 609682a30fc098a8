import { formatSpiffeId, parseSpiffeId } from '../../spire/spiffe-id.ts'
import { printable } from '../../x509/printable.ts'
import type { ObservedPod } from '../observed.ts'
import { expandPodTemplate, PodTemplateError } from '../template/pod-template.ts'
import { isAllowedId } from './allowed-ids.ts'
import type { IdentityRules, IdentitySource } from './identity-rules.ts'
import { reservedProblem } from './reserved-ids.ts'

/** The path of a pod's SPIFFE ID, with its leading slash, or why it has none. */
export type PodPath =
  /** @param from - what says so, for people: `label spiffe is "web"` */
  | { readonly is: 'path'; readonly path: string; readonly from: string }
  | { readonly is: 'none'; readonly reason: string }
  | { readonly is: 'problem'; readonly problem: string }

/** Which ID the configuration gives to a pod, and whether it may. */
export function podPath(rules: IdentityRules, pod: ObservedPod): PodPath {
  const found = sourcePath(rules, pod)
  if (found.is !== 'path') return found
  const refusal = pathRefusal(rules, pod.namespace, found.path)
  if (refusal !== undefined) return { is: 'problem', problem: `${found.from}: the ID ${found.path} ${refusal}` }
  return found
}

/**
 * Why an ID may not be given to workloads of a namespace by anything that people write into it, as a clause about the ID.
 *
 * @param path - of the SPIFFE ID, with its leading slash
 */
export function idRefusal(rules: IdentityRules, namespace: string, path: string): string | undefined {
  const reserved = reservedProblem(path, rules.reserved)
  if (reserved !== undefined || rules.allowedIds === undefined) return reserved
  return isAllowedId(rules.allowedIds, namespace, path)
    ? undefined
    : `is not one that allowed_ids allows in the namespace ${namespace}`
}

/** A service account is the API server's own word: it is not limited, but not even it may be somebody else's ID. */
function pathRefusal(rules: IdentityRules, namespace: string, path: string): string | undefined {
  return rules.identity.by === 'service-account'
    ? reservedProblem(path, rules.reserved)
    : idRefusal(rules, namespace, path)
}

function sourcePath({ identity, trustDomain }: IdentityRules, pod: ObservedPod): PodPath {
  switch (identity.by) {
    case 'service-account':
      if (pod.serviceAccount === '') return { is: 'none', reason: 'it has no service account' }
      return checkedPath(trustDomain, `/ns/${pod.namespace}/sa/${pod.serviceAccount}`, 'its service account')
    case 'label':
    case 'annotation':
      return valuePath(trustDomain, identity, pod)
    case 'template':
      return templatePath(trustDomain, identity, pod)
    default:
      return identity satisfies never
  }
}

function valuePath(
  trustDomain: string,
  { by, key }: Extract<IdentitySource, { readonly key: string }>,
  pod: ObservedPod,
): PodPath {
  const values = by === 'label' ? pod.labels : pod.annotations
  const value = Object.hasOwn(values, key) ? values[key] : undefined
  if (value === undefined) return { is: 'none', reason: `it has no ${by} ${key}` }
  // A node's kubelet writes these pods itself: it could claim whatever ID the cluster's pods have.
  if (pod.mirror) return { is: 'none', reason: `it is a static pod, and its node would choose its ${by} ${key}` }
  const from = `${by} ${key}`
  if (value === '') return { is: 'problem', problem: `${from} is empty: it must be the path of a SPIFFE ID` }
  return checkedPath(trustDomain, `/${value}`, `${from} is ${JSON.stringify(printable(value))}`)
}

function templatePath(
  trustDomain: string,
  { template, label }: Extract<IdentitySource, { readonly by: 'template' }>,
  pod: ObservedPod,
): PodPath {
  if (label !== undefined) {
    const value = Object.hasOwn(pod.labels, label) ? pod.labels[label] : undefined
    if (value?.toLowerCase() !== 'true') return { is: 'none', reason: `its label ${label} is not "true"` }
  }
  try {
    return checkedPath(trustDomain, `/${expandPodTemplate(template, pod)}`, 'identity_template')
  } catch (error) {
    if (error instanceof PodTemplateError) return { is: 'problem', problem: error.message }
    throw error
  }
}

function checkedPath(trustDomain: string, path: string, from: string): PodPath {
  const id = parseSpiffeId(formatSpiffeId({ trustDomain, path }))
  return 'problem' in id ? { is: 'problem', problem: `${from}: ${id.problem}` } : { is: 'path', path, from }
}
