import type { NameKind } from '../request/asked-names.ts'
import { patternProblem } from '../names/pattern.ts'

/** Patterns of ours that match nothing which the foreign one does not. */
export interface ConvertedPatterns {
  readonly patterns: readonly string[]
  /** What the foreign pattern matched and these do not; undefined where they are the same. */
  readonly narrower: string | undefined
  /** Why there are none. */
  readonly problem: string | undefined
}

/**
 * approver-policy's asterisk stands for any characters, none too; ours for one or more within a label or segment, and never for an
 * asterisk itself. So a text without one stays, and one with becomes at most two patterns that are together no wider.
 */
export function convertPattern(kind: NameKind, foreign: string): ConvertedPatterns {
  if (kind === 'ipAddresses') return convertIpPattern(foreign)
  if (foreign.includes('$')) return none('has a dollar sign, which ours keep for facts')
  const problem = patternProblem(kind, foreign)
  if (problem !== undefined) return none(problem)
  if (!foreign.includes('*')) return { patterns: [foreign], narrower: undefined, problem: undefined }
  const without = foreign.replace('*', '')
  const isWhole = without !== '' && patternProblem(kind, without) === undefined
  return { patterns: isWhole ? [foreign, without] : [foreign], narrower: narrowerBy[kind], problem: undefined }
}

const narrowerBy: Partial<Record<NameKind, string>> = {
  dnsNames: 'its asterisk stands for one label here, and for no wildcard name',
  uris: 'its asterisk stands for one segment of the path here',
  emailAddresses: 'its asterisk stands for one mailbox or label here',
}

/** Addresses were matched as texts; whole blocks of IPv4 can be said as such. */
function convertIpPattern(foreign: string): ConvertedPatterns {
  if (foreign === '*') return { patterns: ['0.0.0.0/0', '::/0'], narrower: undefined, problem: undefined }
  const octets = /^((?:\d{1,3}\.){1,3})\*$/.exec(foreign)?.[1]?.split('.').slice(0, -1)
  const block = octets && `${[...octets, '0', '0', '0'].slice(0, 4).join('.')}/${octets.length * 8}`
  const pattern = block ?? foreign
  const problem = patternProblem('ipAddresses', pattern)
  return problem === undefined ? { patterns: [pattern], narrower: undefined, problem: undefined } : none(problem)
}

function none(problem: string): ConvertedPatterns {
  return { patterns: [], narrower: undefined, problem }
}

/** Names of objects, such as issuers: theirs may stand for no character too. */
export function convertObjectPattern(foreign: string): readonly string[] | undefined {
  if (foreign.indexOf('*') !== foreign.lastIndexOf('*')) return undefined
  if (!foreign.includes('*') || foreign === '*') return [foreign]
  return [foreign, foreign.replace('*', '')]
}
