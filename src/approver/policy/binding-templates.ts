import { factsOf } from '../names/template.ts'
import type { NameTemplate } from '../names/name-template.ts'
import type { CertificatePolicySpec } from './certificate-policy.ts'

/** Kinds of name by which a peer is known. The others describe it, and a policy may fix them. */
const identityKinds: ReadonlySet<string> = new Set(['commonNames', 'dnsNames', 'uris', 'emailAddresses'])

export function isIdentityKind(kind: string): boolean {
  return identityKinds.has(kind)
}

/**
 * Whether the names that a template makes are derived from who the subject is, so that no other subject can have them: it names the
 * subject by facts that are unique together, has no asterisk, and holds nothing that an object's author wrote as he liked.
 */
export function bindsToSubject(
  template: NameTemplate,
  spec: Pick<CertificatePolicySpec, 'binding' | 'requests'>,
): boolean {
  if (template.isPattern) return false
  const facts = new Set<string>(factsOf(template))
  const isWritten = [...facts].some((fact) => fact.includes('labels') || fact.includes('annotations'))
  if (isWritten) return false
  // A policy for one namespace says it once; its names need not say it again.
  const namespaces = spec.requests.namespaces?.names ?? []
  const inNamespace =
    facts.has('namespace') || (namespaces.length === 1 && !namespaces.some((name) => name.includes('*')))
  switch (spec.binding) {
    case 'pod':
      return (
        facts.has('pod.uid') ||
        (inNamespace && ['pod.name', 'service.name', 'serviceAccount.name'].some((fact) => facts.has(fact))) ||
        facts.has('serviceAccount.uid')
      )
    case 'serviceAccount':
      return facts.has('serviceAccount.uid') || (inNamespace && facts.has('serviceAccount.name'))
    case 'node':
      return facts.has('node.name')
    case 'none':
      return false
  }
}
