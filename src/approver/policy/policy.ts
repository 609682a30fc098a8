import type { Location } from '../../manifest/problem.ts'
import type { NameKind } from '../request/asked-names.ts'
import type { NameTemplate } from '../names/name-template.ts'
import type { CompiledRule } from '../rule/rule.ts'
import type { CertificatePolicySpec } from './certificate-policy.ts'

/** A policy that was checked whole: every template was read and every rule understood. */
export interface Policy {
  readonly name: string
  /** `metadata.generation`; undefined for one from a file. */
  readonly generation: number | undefined
  readonly spec: CertificatePolicySpec
  readonly allowed: NameTemplates
  readonly required: NameTemplates
  readonly rules: readonly PolicyRule[]
  readonly issue: IssueTemplates | undefined
  /** Where it stands, for a policy from a file. */
  readonly location: Location
}

export type NameTemplates = Readonly<Record<NameKind, readonly NameTemplate[]>>

export interface PolicyRule {
  readonly name: string
  readonly message: string | undefined
  readonly expression: string
  readonly compiled: CompiledRule
}

/** The names that a policy issues to a PodCertificateRequest, in the order of their kinds. */
export interface IssueTemplates {
  readonly names: readonly NameTemplate[]
}
