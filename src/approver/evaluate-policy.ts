import { factsOfSubject } from './facts-of-subject.ts'
import { type GrantedNames, issueNames } from './issue-names.ts'
import { limitOutcomes } from './limit-rules.ts'
import type { LiveObjects } from './live-objects.ts'
import { type NameGround, nameOutcomes } from './name-rules.ts'
import { accountNames } from './names/account-names.ts'
import { type DerivedNames, namesOfPod } from './names-of-pod.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import type { CertificatePolicySpec } from './policy/certificate-policy.ts'
import type { Policy } from './policy/policy.ts'
import type { AskedCertificate } from './request/asked-certificate.ts'
import { canonicalIp } from './request/asked-names.ts'
import { namespaceOfRequest, type RequestObject } from './request/request-object.ts'
import { ruleInput } from './rule-input.ts'
import type { Subject } from './subject.ts'

/** What became of a request under one policy. */
export interface Evaluation {
  readonly outcomes: readonly RuleOutcome[]
  /** For a PodCertificateRequest that passed. */
  readonly granted: GrantedNames | undefined
}

/** Everything that a policy is evaluated on. */
export interface Ground {
  readonly request: RequestObject
  readonly asked: AskedCertificate
  readonly subject: Subject
  readonly live: LiveObjects
  readonly clusterDomain: string
}

/** Holds a request against every rule of a policy. It passes where no rule has failed. */
export function evaluatePolicy(policy: Policy, ground: Ground): Evaluation {
  const { request, asked, subject, live, clusterDomain } = ground
  const { spec } = policy
  const facts = factsOfSubject(subject, live, clusterDomain)
  const names: NameGround = { facts, derived: derivedNames(spec, ground) }
  const issued = request.kind === 'PodCertificateRequest' ? issueNames(policy, request.object, asked, facts) : undefined
  const asks =
    issued === undefined
      ? [...nameOutcomes(policy, asked.names, names), ...reservedOutcomes(spec, ground)]
      : issued.outcomes
  const limits =
    issued === undefined ? limitOutcomes(spec, asked) : limitOutcomes({ ...spec, duration: undefined }, asked)
  return {
    outcomes: [...bindingOutcomes(spec, ground), ...asks, ...limits, ...expressionOutcomes(policy, ground)],
    granted: issued?.granted,
  }
}

/** Whether the subject is what the binding wants: a pod, a service account or a node, as the API server attested it. */
function bindingOutcomes({ binding }: CertificatePolicySpec, { request, subject }: Ground): RuleOutcome[] {
  const { requester, pod, serviceAccount, node, namespace } = subject
  const value = requester?.username ?? `pod ${namespace}/${pod?.name ?? ''}`
  if (binding === 'none') return [passed('binding', value, 'the policy names its subjects, and its names alone decide')]
  const nobody = (): RuleOutcome[] => {
    if (subject.outcomes.some(({ result }) => result === 'failed')) return [...subject.outcomes]
    return [failed('binding', 'intrinsic', value, `the requester is no ${binding} that the API server attested`)]
  }
  if (binding === 'node') {
    if (requester?.isNode !== true) return nobody()
    return [passed('binding', value, `the requester is node ${node ?? ''}`)]
  }
  if (serviceAccount === undefined || (binding === 'pod' && pod === undefined)) return nobody()
  const own = namespaceOfRequest(request)
  if (own !== undefined && own !== namespace) {
    return [
      failed(
        'binding',
        'intrinsic',
        `${own}/`,
        `the request is in another namespace than its subject, ${namespace ?? ''}`,
      ),
    ]
  }
  return [
    passed('binding', value, `the subject is known: ${binding}`, {
      nature: subject.origin === 'attested' ? 'intrinsic' : 'extrinsic',
    }),
    ...subject.outcomes,
  ]
}

function derivedNames(
  { binding, names }: CertificatePolicySpec,
  { subject, live, clusterDomain }: Ground,
): DerivedNames {
  const { livePod, namespace = '', node } = subject
  if (binding === 'pod' && livePod !== undefined) {
    return namesOfPod(livePod, live.services(namespace), {
      clusterDomain,
      allowBareNames: names.allowBareNames === true,
      allowPodIPs: names.allowPodIPs === true,
    })
  }
  if (binding !== 'node' || node === undefined) return { dnsNames: new Set(), ipAddresses: new Set() }
  const addresses = live.node(node)?.status?.addresses ?? []
  const of = (isWanted: (type: string) => boolean): string[] =>
    addresses.filter(({ type }) => isWanted(type)).map(({ address }) => address)
  return {
    dnsNames: new Set(of((type) => type === 'Hostname' || type.endsWith('DNS')).map((name) => name.toLowerCase())),
    ipAddresses: new Set(of((type) => type.endsWith('IP')).map(canonicalIp)),
  }
}

/**
 * Names under `system:` are Kubernetes' own accounts wherever a certificate is believed by an API server, whoever its signer is.
 * A node may have its own, which is what the kubelet's certificates are made of.
 */
function reservedOutcomes({ binding }: CertificatePolicySpec, { asked, subject }: Ground): RuleOutcome[] {
  const reserved = accountNames(asked.names)
  if (reserved.length === 0) return []
  const own = new Set([`CN:system:node:${subject.node ?? ''}`, 'O:system:nodes'])
  const value = reserved.join(', ')
  if (binding === 'node' && reserved.every((name) => own.has(name)))
    return [passed('names.reserved', value, "they are the node's own")]
  return [failed('names.reserved', 'intrinsic', value, 'names under "system:" are accounts of Kubernetes')]
}

function expressionOutcomes({ rules }: Policy, { request, asked, subject, live }: Ground): RuleOutcome[] {
  if (rules.length === 0) return []
  const input = ruleInput(request, asked, subject, live)
  return rules.map(({ name, message, expression, compiled }) => {
    const result = compiled.evaluate(input)
    const rule = `rule.${name}`
    const nature = compiled.variables.every((variable) => variable === 'request') ? 'intrinsic' : 'extrinsic'
    if (result.is === 'true') return passed(rule, expression, 'it holds', { nature })
    if (result.is === 'false') return failed(rule, nature, expression, message ?? 'it does not hold')
    // An error may come of what was not seen yet, so it never denies.
    return failed(rule, 'extrinsic', expression, `it cannot be evaluated: ${result.message}`)
  })
}
