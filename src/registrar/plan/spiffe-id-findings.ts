import type { ObservedPod } from '../observed.ts'
import type { ExplainOptions, Finding } from './pod-explanation.ts'

/** How the SpiffeIDs of a pod stand, in crd mode. */
export function spiffeIdFindings(
  { namespace, name, uid }: ObservedPod,
  keys: ReadonlySet<string>,
  { source, config }: ExplainOptions,
): Finding[] {
  const { resources, spiffeIds } = source
  const steps = spiffeIds?.steps.filter((step) => step.name === `${namespace}/${name}`) ?? []
  const obstacles = spiffeIds?.problems.filter(({ key }) => key === `pod/${namespace}/${name}`) ?? []
  const findings: Finding[] = steps.map(({ is }) => ({
    about: 'SpiffeID',
    is: 'bad',
    text: `the SpiffeID ${namespace}/${name} is to be ${{ create: 'created', change: 'changed', delete: 'deleted' }[is]}`,
  }))
  findings.push(...obstacles.map(({ problem }): Finding => ({ about: 'SpiffeID', is: 'bad', text: problem })))
  let found = 0
  for (const key of keys) {
    const resource = resources?.get(key)
    // One of the pod's name may be for something else.
    if (resources === undefined || resource === undefined || (resource.podUid ?? uid) !== uid) continue
    found++
    const title = `the SpiffeID ${resource.namespace}/${resource.name}`
    const violation = resources.violation(resource)
    if (violation !== undefined) {
      const text = `${title} breaks a rule (${violation.reason}): ${violation.message}`
      findings.push({ about: 'SpiffeID', is: 'bad', text, advice: 'Change it, or what the registrar allows.' })
    } else if (steps.length === 0) {
      findings.push({ about: 'SpiffeID', is: 'good', text: `${title} asks for it and breaks no rule` })
    }
  }
  if (found === 0 && config.mode === 'crd' && !config.podController) {
    const advice = 'Create one, or switch pod_controller on.'
    findings.push({ about: 'SpiffeID', is: 'bad', text: 'there is none for it, and pod_controller is off', advice })
  }
  return findings
}
