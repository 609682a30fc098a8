import { didYouMean } from '../../runtime/did-you-mean.ts'
import type { PodReference } from '../issuer.ts'

/** A role's name in Vault, in which the pod's namespace and service account may stand. */
export type RoleTemplate = readonly RolePart[]

type RolePart = { readonly text: string } | { readonly variable: RoleVariable }

/** What may stand in a role's name, spelt as in volume attributes. */
const roleVariables = ['POD_NAMESPACE', 'SERVICE_ACCOUNT_NAME'] as const

type RoleVariable = (typeof roleVariables)[number]

/** A text that is no name of a role. The message is for the administrator and completes a sentence about the text. */
export class RoleTemplateError extends Error {
  override readonly name = 'RoleTemplateError'
  readonly code = 'ROLE_TEMPLATE'
}

/**
 * Reads the name of a role, such as `pods` or `${POD_NAMESPACE}_${SERVICE_ACCOUNT_NAME}`.
 *
 * Two accounts must never get one role by their names' spelling, as `a-b` + `c` and `a` + `b-c` would with a hyphen between. So what
 * stands between two variables holds a character that a namespace (RFC 1123 label) cannot have: neither lower-case letter, digit nor
 * hyphen.
 *
 * @throws {RoleTemplateError}
 */
export function parseRoleTemplate(text: string): RoleTemplate {
  const parts: RolePart[] = []
  let end = 0
  for (const match of text.matchAll(/\$\{([^}]*)\}/g)) {
    if (match.index > end) parts.push({ text: text.slice(end, match.index) })
    parts.push({ variable: knownVariable(match[1] ?? '') })
    end = match.index + match[0].length
  }
  if (end < text.length) parts.push({ text: text.slice(end) })
  checkParts(parts)
  return parts
}

/** The role of a pod. Namespaces and names of accounts are DNS names, so what comes out is one segment of a path. */
export function renderRole(template: RoleTemplate, pod: Pick<PodReference, 'namespace' | 'serviceAccount'>): string {
  const values: Readonly<Record<RoleVariable, string>> = {
    POD_NAMESPACE: pod.namespace,
    SERVICE_ACCOUNT_NAME: pod.serviceAccount,
  }
  return template.map((part) => ('text' in part ? part.text : values[part.variable])).join('')
}

function knownVariable(name: string): RoleVariable {
  const known = roleVariables.find((variable) => variable === name)
  if (known !== undefined) return known
  const guess = didYouMean(name, roleVariables)
  const hint = guess === undefined ? '' : `, did you mean ${guess}?`
  throw new RoleTemplateError(`refers to ${JSON.stringify(name)}${hint} (known variables: ${roleVariables.join(' ')})`)
}

function checkParts(parts: readonly RolePart[]): void {
  const names = parts.flatMap((part) => ('variable' in part ? [part.variable] : []))
  if (new Set(names).size < names.length) throw new RoleTemplateError('must have each variable at most once')
  for (const [index, part] of parts.entries()) {
    if ('variable' in part) {
      if (part.variable !== names[0] && !parts.slice(0, index).some(isSeparator)) {
        throw new RoleTemplateError(
          'must have "_" or "." between its variables, as otherwise two accounts could get the same role',
        )
      }
      continue
    }
    // The names that Vault itself takes (sdk/framework, GenericNameRegex), which cannot reshape a path either.
    if (!/^[\w.-]+$/.test(part.text)) {
      throw new RoleTemplateError('may hold letters, digits, "_", "." and "-", and variables such as ${POD_NAMESPACE}')
    }
  }
  const [first] = parts
  if (first === undefined) throw new RoleTemplateError('must not be empty')
  if (parts.length === 1 && 'text' in first && /^\.+$/.test(first.text)) throw new RoleTemplateError('must be a name')
}

/** Whether a part stands behind a variable and cannot be taken for the end of a namespace. */
function isSeparator(part: RolePart, index: number, parts: readonly RolePart[]): boolean {
  return 'text' in part && /[^a-z0-9-]/.test(part.text) && parts[index - 1] !== undefined
}
