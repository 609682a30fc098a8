import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseRoleTemplate, renderRole, type RoleTemplate, RoleTemplateError } from './role-template.ts'

const pod = { namespace: 'sandbox', serviceAccount: 'web' }

describe('the name of a role', () => {
  test.each([
    ['pods', 'pods'],
    ['${POD_NAMESPACE}', 'sandbox'],
    ['team-${SERVICE_ACCOUNT_NAME}', 'team-web'],
    ['${POD_NAMESPACE}_${SERVICE_ACCOUNT_NAME}', 'sandbox_web'],
    ['k8s.${SERVICE_ACCOUNT_NAME}.${POD_NAMESPACE}-pods', 'k8s.web.sandbox-pods'],
  ])('%s is %s for a pod', (template, role) => {
    expect(renderRole(parseRoleTemplate(template), pod)).toBe(role)
  })

  test.each([
    ['', 'must not be empty'],
    ['..', 'must be a name'],
    ['a/b', 'may hold letters'],
    ['../sys/seal', 'may hold letters'],
    ['pods?x', 'may hold letters'],
    ['$POD_NAMESPACE', 'may hold letters'],
    ['${POD_NAME}', 'refers to "POD_NAME"'],
    ['${POD_NAMESPACES}', 'did you mean POD_NAMESPACE?'],
    ['${POD_NAMESPACE}${SERVICE_ACCOUNT_NAME}', 'between its variables'],
    ['${POD_NAMESPACE}-${SERVICE_ACCOUNT_NAME}', 'between its variables'],
    ['x_${POD_NAMESPACE}-${SERVICE_ACCOUNT_NAME}', 'between its variables'],
    ['${POD_NAMESPACE}_${POD_NAMESPACE}', 'at most once'],
  ])('%j is refused', (template, message) => {
    expect(() => parseRoleTemplate(template)).toThrow(message)
  })

  test('two accounts never share a role of both of their names', () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?$/)
    const subdomain = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'))
    const account = fc.record({ namespace: label, serviceAccount: subdomain })
    const variables = fc.constantFrom(
      ['${POD_NAMESPACE}', '${SERVICE_ACCOUNT_NAME}'] as const,
      ['${SERVICE_ACCOUNT_NAME}', '${POD_NAMESPACE}'] as const,
    )
    const between = fc.stringMatching(/^[a-z.A_-]{0,3}$/)
    fc.assert(
      fc.property(variables, between, account, account, ([first, second], text, one, other) => {
        const template = templateOf(first + text + second)
        if (template === undefined) return
        const isSame = one.namespace === other.namespace && one.serviceAccount === other.serviceAccount
        expect(renderRole(template, one) === renderRole(template, other)).toBe(isSame)
      }),
    )
  })

  test('whatever the text, a role is one segment of a path or the text is refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[${}POD_NAMESPACE./?#%]{0,30}$/)), (text) => {
        const template = templateOf(text)
        const role = template === undefined ? 'refused' : renderRole(template, pod)
        expect(role).toMatch(/^(?!\.+$)[\w.-]+$/)
      }),
    )
  })
})

/** Undefined where the text is refused, as it must be: in no other way. */
function templateOf(text: string): RoleTemplate | undefined {
  try {
    return parseRoleTemplate(text)
  } catch (error) {
    if (error instanceof RoleTemplateError) return undefined
    throw error
  }
}
