import type * as Cel from '@bufbuild/cel'
import type { CelFunc, CelList, CelMap } from '@bufbuild/cel'
import { serviceAccountName } from '../requester.ts'
import { RuleError } from './rule.ts'
import type { RuleMeter } from './rule-meter.ts'

type Language = typeof Cel

const longestPattern = 512

/** Counts one step of a loop; its name cannot be written in an expression. */
export const loopFunction = '@podpass_step'

/** Functions that count, and those of the language that could make much of little: sums of texts and lists, and patterns. */
export function boundedFunctions(cel: Language, strings: readonly CelFunc[], meter: RuleMeter): CelFunc[] {
  const { BOOL, STRING, BYTES, DYN } = cel.CelScalar
  const list = cel.listType(DYN)
  const matches = cel.celEnv().funcs.find('matches')
  const format = strings.find(({ name }) => name === 'format')
  return [
    cel.celFunc(loopFunction, [BOOL], BOOL, (goesOn) => {
      meter.step()
      return goesOn
    }),
    cel.celFunc('_+_', [STRING, STRING], STRING, (left, right) => {
      meter.size(left.length + right.length)
      return left + right
    }),
    cel.celFunc('_+_', [BYTES, BYTES], BYTES, (left, right) => {
      meter.size(left.length + right.length)
      return Buffer.concat([left, right])
    }),
    cel.celFunc('_+_', [list, list], list, (left: CelList, right: CelList) => {
      meter.size(left.size + right.size)
      // Copied: lists of lists would be as deep as a loop is long.
      return cel.celList([...left, ...right])
    }),
    cel.celMethod('format', STRING, [list], STRING, function (this: string, values: CelList) {
      const lengths = [...values].map((value) => {
        if (typeof value === 'object') throw new RuleError('format takes texts, numbers and booleans')
        return String(value).length
      })
      // Before the text is made: each place may hold the longest value.
      meter.size(this.length + (this.split('%').length - 1) * Math.max(0, ...lengths))
      return format?.call(0, this, [values]) as string
    }),
    // The language's own is RE2, which takes linear time; only the pattern itself needs a bound.
    cel.celMethod('matches', STRING, [STRING], BOOL, function (this: string, pattern: string) {
      if (pattern.length > longestPattern) throw new RuleError(`a pattern is longer than ${longestPattern} characters`)
      return matches?.call(0, this, [pattern]) as boolean
    }),
  ]
}

/** Of the language's strings extension: what makes of a text no more than a text and its arguments hold. */
export const boundedStrings: ReadonlySet<string> = new Set([
  'charAt',
  'format',
  'indexOf',
  'lastIndexOf',
  'lowerAscii',
  'split',
  'substring',
  'trim',
  'upperAscii',
])

/** `serviceAccount(request.username).getName()` and `.getNamespace()`: an error for whoever is no service account. */
export function accountFunctions(cel: Language): CelFunc[] {
  const { STRING, DYN } = cel.CelScalar
  const map = cel.mapType(DYN, DYN)
  const part = (account: CelMap, key: string): string => {
    const value = account.get(key)
    if (typeof value !== 'string') throw new RuleError('it is no service account')
    return value
  }
  return [
    cel.celFunc('serviceAccount', [STRING], map, (username) => {
      const [, namespace, name] = serviceAccountName.exec(username) ?? []
      if (namespace === undefined || name === undefined) throw new RuleError(`${username} is no service account`)
      return new Map([
        ['namespace', namespace],
        ['name', name],
      ])
    }),
    cel.celMethod('getName', map, [], STRING, function (this: CelMap) {
      return part(this, 'name')
    }),
    cel.celMethod('getNamespace', map, [], STRING, function (this: CelMap) {
      return part(this, 'namespace')
    }),
  ]
}
