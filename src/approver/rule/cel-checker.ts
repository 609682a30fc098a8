import type { CelEnv, CelType, parse } from '@bufbuild/cel'
import { didYouMean } from '../../runtime/did-you-mean.ts'
import { RuleError } from './rule.ts'
import { fits, formatType, type RuleType, ruleVariables, type RuleVariable } from './rule-type.ts'

export type Expression = ReturnType<typeof parse>['expr']
type Kind<Case extends string> = Extract<Expression['exprKind'], { readonly case: Case }>
type Scope = ReadonlyMap<string, RuleType>

/** Loops inside loops multiply; real rules have one or two. */
const deepestLoops = 3

/** The variables that an expression looks at. */
export interface Checked {
  readonly variables: readonly RuleVariable[]
}

/**
 * Checks the names and types of an expression before anything is evaluated: variables, their fields, functions and what they take.
 * The library's own checker (0.6.1) knows constants and names alone. What has no known type passes, and is an error when evaluated.
 *
 * @throws {RuleError}
 */
export function checkExpression(expression: Expression, functions: CelEnv['funcs']): Checked {
  const variables = new Set<RuleVariable>()
  const type = typeOf({ functions, variables }, expression, new Map(), 0)
  if (!fits(type, 'bool')) throw new RuleError(`it is ${formatType(type)}, and must be bool`)
  return { variables: [...variables] }
}

/** What is the same for a whole expression. */
interface Context {
  readonly functions: CelEnv['funcs']
  readonly variables: Set<RuleVariable>
}

function typeOf(context: Context, { exprKind }: Expression, scope: Scope, loops: number): RuleType {
  switch (exprKind.case) {
    case 'constExpr':
      return constantTypes[exprKind.value.constantKind.case ?? ''] ?? 'dyn'
    case 'identExpr':
      return variableType(context, exprKind.value.name, scope)
    case 'selectExpr':
      return fieldType(context, exprKind.value, scope, loops)
    case 'callExpr':
      return callType(context, exprKind.value, scope, loops)
    case 'listExpr': {
      const [first = 'dyn', ...rest] = exprKind.value.elements.map((item) => typeOf(context, item, scope, loops))
      return { list: rest.every((type) => fits(type, first)) ? first : 'dyn' }
    }
    case 'structExpr':
      for (const { value, keyKind } of exprKind.value.entries) {
        if (keyKind.case === 'mapKey') typeOf(context, keyKind.value, scope, loops)
        if (value !== undefined) typeOf(context, value, scope, loops)
      }
      return { map: 'dyn' }
    case 'comprehensionExpr':
      return loopType(context, exprKind.value, scope, loops)
    case undefined:
      throw new RuleError('it is empty')
  }
}

function variableType(context: Context, name: string, scope: Scope): RuleType {
  const local = scope.get(name)
  if (local !== undefined) return local
  if (isVariable(name)) {
    context.variables.add(name)
    return ruleVariables[name]
  }
  throw new RuleError(unknown('variable', name, [...Object.keys(ruleVariables), ...scope.keys()]))
}

function fieldType(
  context: Context,
  { operand, field, testOnly }: Kind<'selectExpr'>['value'],
  scope: Scope,
  loops: number,
): RuleType {
  const type = operand === undefined ? 'dyn' : typeOf(context, operand, scope, loops)
  const found = memberType(type, field)
  return testOnly ? 'bool' : found
}

function callType(
  context: Context,
  { function: name, target, args }: Kind<'callExpr'>['value'],
  scope: Scope,
  loops: number,
): RuleType {
  const types = args.map((argument) => typeOf(context, argument, scope, loops))
  const [first = 'dyn', second = 'dyn', third = 'dyn'] = types
  switch (name) {
    case '_&&_':
    case '_||_':
      for (const type of types) expectType(type, 'bool', operators[name] ?? name)
      return 'bool'
    case '_?_:_':
      expectType(first, 'bool', 'the condition before "?"')
      return fits(second, third) ? second : 'dyn'
    case '_[_]':
      return elementType(first, second, args[1])
    case '@not_strictly_false':
      return 'bool'
    case '_==_':
    case '_!=_':
      if (!fits(first, second)) throw new RuleError(`${formatType(first)} is compared with ${formatType(second)}`)
      return 'bool'
    default:
      return functionType(
        context,
        name,
        target === undefined ? undefined : typeOf(context, target, scope, loops),
        types,
      )
  }
}

function functionType(
  context: Context,
  name: string,
  target: RuleType | undefined,
  types: readonly RuleType[],
): RuleType {
  const overloads = [...(context.functions.find(name) ?? [])]
  if (overloads.length === 0) throw new RuleError(unknown('function', name, functionNames(context)))
  const fitting = overloads.filter((overload) => {
    const sameForm = (overload.target === undefined) === (target === undefined)
    if (!sameForm || overload.arguments.length !== types.length) return false
    const onTarget = overload.target === undefined || fits(target ?? 'dyn', typeFromCel(overload.target))
    return onTarget && overload.arguments.every((wanted, index) => fits(types[index] ?? 'dyn', typeFromCel(wanted)))
  })
  if (fitting.length === 0) {
    const on = target === undefined ? '' : `${formatType(target)}.`
    const shown = operators[name] ?? name
    throw new RuleError(`${on}${shown}(${types.map(formatType).join(', ')}) does not fit any form of ${shown}`)
  }
  const results = new Set(fitting.map(({ result }) => result.name))
  return results.size === 1 && fitting[0] !== undefined
    ? resultType(name, typeFromCel(fitting[0].result), types)
    : 'dyn'
}

function functionNames({ functions }: Context): string[] {
  return [...new Set([...functions].map(({ name }) => name).filter((name) => /^[a-z]/i.test(name)))]
}

function loopType(context: Context, loop: Kind<'comprehensionExpr'>['value'], scope: Scope, loops: number): RuleType {
  if (loops >= deepestLoops) throw new RuleError(`loops are nested deeper than ${deepestLoops}`)
  const range = loop.iterRange === undefined ? 'dyn' : typeOf(context, loop.iterRange, scope, loops)
  if (!fits(range, { list: 'dyn' }) && !fits(range, { map: 'dyn' })) {
    throw new RuleError(`${formatType(range)} is no list to look through`)
  }
  const item = typeof range === 'object' && 'list' in range ? range.list : 'dyn'
  // A loop's result starts as an empty list of nothing known, or as a boolean or number that stays one.
  const start = loop.accuInit === undefined ? 'dyn' : typeOf(context, loop.accuInit, scope, loops)
  const inner = new Map([...scope, [loop.iterVar, item], [loop.accuVar, start]])
  const step = loop.loopStep === undefined ? 'dyn' : typeOf(context, loop.loopStep, inner, loops + 1)
  if (!fits(step, start))
    throw new RuleError(`what is asked of each item is ${formatType(step)}, and must be ${formatType(start)}`)
  return loop.result === undefined
    ? 'dyn'
    : typeOf(context, loop.result, new Map([...inner, [loop.accuVar, step]]), loops)
}

const constantTypes: Readonly<Record<string, RuleType>> = {
  stringValue: 'string',
  int64Value: 'int',
  boolValue: 'bool',
  doubleValue: { other: 'double' },
  uint64Value: { other: 'uint' },
  bytesValue: { other: 'bytes' },
}

const operators: Readonly<Record<string, string>> = Object.fromEntries(
  ['_&&_', '_||_', '_<_', '_<=_', '_>_', '_>=_', '_+_', '_-_', '_*_', '_/_', '_%_', '@in', '!_', '-_', '_==_'].map(
    (name) => [name, name.replaceAll(/[_@]/g, '')],
  ),
)

function isVariable(name: string): name is RuleVariable {
  return Object.hasOwn(ruleVariables, name)
}

function memberType(type: RuleType, field: string): RuleType {
  if (type === 'dyn') return 'dyn'
  if (typeof type === 'object' && 'map' in type) return type.map
  if (typeof type === 'object' && 'fields' in type) {
    const found = Object.hasOwn(type.fields, field) ? type.fields[field] : undefined
    if (found === undefined) throw new RuleError(unknown('field', field, Object.keys(type.fields)))
    return found
  }
  throw new RuleError(`${formatType(type)} has no field ${field}`)
}

function elementType(type: RuleType, index: RuleType, expression: Expression | undefined): RuleType {
  if (typeof type === 'object' && 'list' in type) {
    expectType(index, 'int', 'the index of a list')
    return type.list
  }
  const constant = expression?.exprKind.case === 'constExpr' ? expression.exprKind.value.constantKind : undefined
  if (constant?.case === 'stringValue') return memberType(type, constant.value)
  return typeof type === 'object' && 'map' in type
    ? type.map
    : fits(type, { map: 'dyn' })
      ? 'dyn'
      : memberType(type, '[]')
}

function expectType(type: RuleType, wanted: RuleType, what: string): void {
  if (!fits(type, wanted)) throw new RuleError(`${what} takes ${formatType(wanted)}, and not ${formatType(type)}`)
}

function unknown(what: string, name: string, known: readonly string[]): string {
  const guess = didYouMean(name, known)
  return `there is no ${what} ${name}${guess === undefined ? '' : `, did you mean ${guess}?`}`
}

function typeFromCel(type: CelType): RuleType {
  if (type.kind === 'list') return { list: typeFromCel(type.element) }
  if (type.kind === 'map') return { map: typeFromCel(type.value) }
  if (type.name === 'string' || type.name === 'int' || type.name === 'bool' || type.name === 'dyn') return type.name
  return { other: type.name }
}

/** Lists that are joined keep what is known of their items. */
function resultType(name: string, type: RuleType, types: readonly RuleType[]): RuleType {
  const known = types.find((one) => typeof one === 'object' && 'list' in one && one.list !== 'dyn')
  return name === '_+_' && typeof type === 'object' && 'list' in type ? (known ?? type) : type
}
