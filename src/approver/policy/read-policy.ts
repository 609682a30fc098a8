import * as v from 'valibot'
import { descend, type Field, isObject } from '../../manifest/manifest.ts'
import type { Problem } from '../../manifest/problem.ts'
import { forEachKind, type NameKind } from '../request/asked-names.ts'
import { makesAccountNames } from '../names/account-names.ts'
import { type NameTemplate, readNameTemplate } from '../names/name-template.ts'
import { TemplateError } from '../names/template.ts'
import { type RuleCompiler, RuleError } from '../rule/rule.ts'
import { bindsToSubject, isIdentityKind } from './binding-templates.ts'
import { type CertificatePolicySpec, policyApi, policySchema } from './certificate-policy.ts'
import { policyProblems, type PolicyLimits, templateProblems } from './policy-problems.ts'
import type { NameTemplates, Policy, PolicyRule } from './policy.ts'
import { schemaProblems } from './schema-problems.ts'

/** A policy, or everything that is wrong with it. */
export type PolicyReading =
  | { readonly policy: Policy; readonly problems: readonly [] }
  | { readonly policy: undefined; readonly problems: readonly Problem[] }

/** Whether a document says that it is a CertificatePolicy, of whatever version. */
export function isPolicyDocument({ value }: Field): boolean {
  return isObject(value) && value['kind'] === policyApi.kind
}

/** Whether a policy has rules, for which the expression language must be loaded. */
export function hasRules(document: Field): boolean {
  const { value } = descend(document, 'spec', 'rules')
  return Array.isArray(value) && value.length > 0
}

/**
 * Checks a policy whole: its form, its templates, its rules, and what must go together. One that is wrong anywhere is not used at all.
 *
 * @param compiler - undefined where no document {@link hasRules}
 */
export function readPolicy(document: Field, limits: PolicyLimits, compiler: RuleCompiler | undefined): PolicyReading {
  const name = descend(document, 'metadata', 'name').value
  const object = `${policyApi.kind} ${typeof name === 'string' ? name : 'without a name'}`
  const formal = schemaProblems(policySchema, document, object)
  if (formal.length > 0) return { policy: undefined, problems: formal }
  const { metadata, spec } = v.parse(policySchema, document.value)
  const problems: Problem[] = []
  const report = (at: readonly (string | number)[], message: string): void => {
    const field = descend(document, 'spec', ...at)
    problems.push({ location: field.location, object, message: `${field.path} ${message}` })
  }
  const allowed = readTemplates(spec, 'allowed', report)
  const required = readTemplates(spec, 'required', report)
  const issue = readIssue(spec, report)
  const rules = readRules(spec, compiler, report)
  for (const { at, message } of [...policyProblems(spec, limits), ...templateProblems(spec, allowed)])
    report(at, message)
  if (problems.length > 0) return { policy: undefined, problems }
  const { location } = document
  return {
    policy: { name: metadata.name, generation: metadata.generation, spec, allowed, required, rules, issue, location },
    problems: [],
  }
}

type Report = (at: readonly (string | number)[], message: string) => void

function readTemplates({ names }: CertificatePolicySpec, list: 'allowed' | 'required', report: Report): NameTemplates {
  return forEachKind((kind) =>
    (names[list]?.[kind] ?? []).flatMap((text, index) =>
      readTemplate(kind, text, ['names', list, kind, index], report),
    ),
  )
}

function readTemplate(kind: NameKind, text: string, at: readonly (string | number)[], report: Report): NameTemplate[] {
  try {
    return [readNameTemplate(kind, text)]
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    report(at, error.message)
    return []
  }
}

const issuedKinds = ['organizations', 'organizationalUnits', 'dnsNames', 'uris'] as const

function readIssue(spec: CertificatePolicySpec, report: Report): Policy['issue'] {
  const { issue } = spec
  if (issue === undefined) return undefined
  const commonName = issue.commonName === undefined ? [] : readIssued('commonNames', issue.commonName, ['commonName'])
  function readIssued(kind: NameKind, text: string, at: readonly (string | number)[]): NameTemplate[] {
    const place = ['issue', ...at]
    const [template] = readTemplate(kind, text, place, report)
    if (template === undefined) return []
    if (template.isPattern) report(place, 'has an asterisk, and is a name to issue')
    else if (makesAccountNames(template)) report(place, 'begins with "system:", as accounts of Kubernetes do')
    else if (isIdentityKind(kind) && !bindsToSubject(template, spec)) report(place, `does not name the ${spec.binding}`)
    return [template]
  }
  const lists = issuedKinds.flatMap((kind) =>
    (issue[kind] ?? []).flatMap((text, index) => readIssued(kind, text, [kind, index])),
  )
  return { names: [...commonName, ...lists] }
}

function readRules(
  { rules = [] }: CertificatePolicySpec,
  compiler: RuleCompiler | undefined,
  report: Report,
): PolicyRule[] {
  const seen = new Set<string>()
  return rules.flatMap(({ name, expression, message }, index) => {
    if (seen.has(name)) report(['rules', index, 'name'], `is the name of two rules`)
    seen.add(name)
    if (compiler === undefined) throw new TypeError('policies with rules need a compiler')
    try {
      return [{ name, expression, message, compiled: compiler.compile(expression) }]
    } catch (error) {
      if (!(error instanceof RuleError)) throw error
      const column = error.column === undefined ? '' : `character ${error.column}: `
      report(['rules', index, 'expression'], `cannot be used: ${column}${error.message}`)
      return []
    }
  })
}
