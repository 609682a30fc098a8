import type { IdentityRules } from '../desired/identity-rules.ts'
import { type PodCheck, podChecks } from '../desired/pod-entry.ts'
import { podPath } from '../desired/pod-path.ts'
import type { ObservedPod } from '../observed.ts'
import type { Finding } from './pod-explanation.ts'

/** Which rules of the configuration a pod passes, and where its ID comes from. */
export function identityFindings(pod: ObservedPod, rules: IdentityRules): Finding[] {
  const checks = podChecks(rules, pod).map(checkFinding)
  if (checks.some(({ is }) => is === 'bad')) return checks
  const found = podPath(rules, pod)
  const { identity, allowedIds } = rules
  switch (found.is) {
    case 'path': {
      const isLimited = identity.by !== 'service-account' && allowedIds !== undefined
      const limit = isLimited ? `, which allowed_ids allows in the namespace ${pod.namespace}` : ''
      return [...checks, { about: 'identity', is: 'good', text: `${found.from}: the ID ${found.path}${limit}` }]
    }
    case 'none':
      return [...checks, { about: 'identity', is: 'bad', text: found.reason, ...sourceAdvice(pod, rules) }]
    case 'problem':
      return [...checks, { about: 'identity', is: 'bad', text: found.problem, ...sourceAdvice(pod, rules) }]
    default:
      return found satisfies never
  }
}

function checkFinding({ rule, passed, why }: PodCheck): Finding {
  if (passed) return { about: 'pod', is: 'good', text: why }
  return { about: 'pod', is: 'bad', text: why, advice: checkAdvice[rule] }
}

const checkAdvice: Readonly<Record<PodCheck['rule'], string>> = {
  namespace: 'Take the namespace out of disabled_namespaces, or run the pod in another.',
  phase: 'A pod that has completed gets no identity any more.',
  termination: "Its identity ends as `termination` in the registrar's file says.",
  node: 'It gets its entry once it is scheduled: kubectl describe pod tells what it waits for.',
}

function sourceAdvice({ namespace, name }: ObservedPod, { identity }: IdentityRules): Pick<Finding, 'advice'> {
  const pod = `pod ${name} -n ${namespace}`
  switch (identity.by) {
    case 'label':
      return {
        advice: `Set the label to the path of an ID that it may have: kubectl label ${pod} ${identity.key}=PATH --overwrite`,
      }
    case 'annotation':
      return {
        advice: `Set the annotation to the path of an ID that it may have: kubectl annotate ${pod} ${identity.key}=PATH --overwrite`,
      }
    case 'template':
      return identity.label === undefined
        ? { advice: "See identity_template in the registrar's file, and allowed_ids." }
        : { advice: `To give it one: kubectl label ${pod} ${identity.label}=true --overwrite` }
    case 'service-account':
      return {}
    default:
      return identity satisfies never
  }
}
