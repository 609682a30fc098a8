import { type AskedNames, formatName, type NameKind } from '../request/asked-names.ts'
import type { NameTemplate } from './name-template.ts'

/** To an API server that trusts a signer, these are users and groups. */
const accountKinds = ['commonNames', 'organizations'] as const satisfies readonly NameKind[]
/** What names of Kubernetes' own users and groups begin with. */
const prefix = 'system:'

/** The names that are Kubernetes' own accounts wherever a certificate is believed by an API server, such as `O:system:masters`. */
export function accountNames(names: Pick<AskedNames, (typeof accountKinds)[number]>): string[] {
  return accountKinds.flatMap((kind) =>
    names[kind].filter((name) => name.startsWith(prefix)).map((name) => formatName(kind, name)),
  )
}

/** Whether every name that a template makes is such an account: what it begins with is written out. */
export function makesAccountNames({ kind, pieces: [first] }: Pick<NameTemplate, 'kind' | 'pieces'>): boolean {
  const isAccountKind = accountKinds.some((one) => one === kind)
  return isAccountKind && first !== undefined && 'literal' in first && first.literal.startsWith(prefix)
}
