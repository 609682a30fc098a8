import type * as Cel from '@bufbuild/cel'
import type { CelFunc, CelValue } from '@bufbuild/cel'
import { accountFunctions, boundedFunctions, boundedStrings, loopFunction } from './cel-functions.ts'
import { type RuleBudget, RuleMeter } from './rule-meter.ts'
import { checkExpression, type Expression } from './cel-checker.ts'
import { type CompiledRule, type RuleCompiler, RuleError, type RuleInput, type RuleResult } from './rule.ts'

type Language = typeof Cel

const defaultBudget: RuleBudget = { time: 50, steps: 20_000 }

/** Characters; more than anyone reads. */
export const longestExpression = 2048
const deepestBrackets = 32

/** Loads the expression language, the Common Expression Language, as Kubernetes' own policies use it. */
export async function loadCel(
  budget: RuleBudget = defaultBudget,
  now: () => number = threadTime,
): Promise<RuleCompiler> {
  const [cel, { strings }] = await Promise.all([import('@bufbuild/cel'), import('@bufbuild/cel/ext')])
  return createCompiler(cel, strings, budget, now)
}

/** The CPU time of this thread, in milliseconds: what others make the machine do is not the expression's fault. */
function threadTime(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function createCompiler(
  cel: Language,
  strings: readonly CelFunc[],
  budget: RuleBudget,
  now: () => number,
): RuleCompiler {
  const meter = new RuleMeter(budget, now)
  const named = [...strings.filter(({ name }) => boundedStrings.has(name)), ...accountFunctions(cel)]
  const env = cel.celEnv({ funcs: [...named, ...boundedFunctions(cel, strings, meter)] })
  const known = cel.celEnv({ funcs: named }).funcs
  return {
    compile: (text) => {
      const parsed = parseExpression(cel, text)
      const { variables } = checkExpression(parsed, known)
      meterLoops(parsed)
      const plan = cel.plan(env, parsed)
      return { variables, evaluate: (input) => evaluate(cel, plan, meter, input) } satisfies CompiledRule
    },
  }
}

type Plan = (bindings: RuleInput) => CelValue | Error

function evaluate(cel: Language, plan: Plan, meter: RuleMeter, input: RuleInput): RuleResult {
  meter.reset()
  let value: CelValue | Error
  try {
    value = plan(input)
  } catch (error) {
    return { is: 'error', message: (error as Error).message }
  }
  // Looked at first: `true || …` would swallow the error that ended the loop.
  if (meter.isExhausted) return { is: 'error', message: 'it takes too long' }
  if (cel.isCelError(value)) return { is: 'error', message: value.message }
  if (value === true) return { is: 'true' }
  return value === false ? { is: 'false' } : { is: 'error', message: 'it is neither true nor false' }
}

function parseExpression(cel: Language, text: string): Expression {
  if (text.length > longestExpression) throw new RuleError(`it is longer than ${longestExpression} characters`)
  if (depthOf(text) > deepestBrackets) throw new RuleError(`brackets are nested deeper than ${deepestBrackets}`)
  try {
    return cel.parse(text).expr
  } catch (error) {
    const { message } = error as Error
    const column = /^<input>:1:(\d+): /.exec(message)?.[1]
    const plain = message.replace(/^<input>:\d+:\d+: /, '')
    throw new RuleError(plain, column === undefined ? undefined : Number(column), { cause: error })
  }
}

function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  for (const character of text) {
    if ('([{'.includes(character)) deepest = Math.max(deepest, ++depth)
    else if (')]}'.includes(character)) depth--
  }
  return deepest
}

/** Puts the counting function around the condition of every loop, in place. */
function meterLoops(expression: Expression): void {
  const { exprKind } = expression
  for (const inside of partsOf(expression)) meterLoops(inside)
  if (exprKind.case !== 'comprehensionExpr') return
  const condition = exprKind.value.loopCondition
  if (condition === undefined) return
  exprKind.value.loopCondition = {
    ...condition,
    exprKind: {
      case: 'callExpr',
      value: { $typeName: 'cel.expr.Expr.Call', function: loopFunction, args: [condition] },
    },
  }
}

/** The expressions directly inside one. */
function partsOf({ exprKind }: Expression): Expression[] {
  switch (exprKind.case) {
    case 'selectExpr':
      return present([exprKind.value.operand])
    case 'callExpr':
      return present([exprKind.value.target, ...exprKind.value.args])
    case 'listExpr':
      return exprKind.value.elements
    case 'structExpr':
      return exprKind.value.entries.flatMap(({ keyKind, value }) =>
        present([keyKind.case === 'mapKey' ? keyKind.value : undefined, value]),
      )
    case 'comprehensionExpr': {
      const { iterRange, accuInit, loopCondition, loopStep, result } = exprKind.value
      return present([iterRange, accuInit, loopCondition, loopStep, result])
    }
    case 'constExpr':
    case 'identExpr':
    case undefined:
      return []
  }
}

function present(expressions: readonly (Expression | undefined)[]): Expression[] {
  return expressions.filter((expression) => expression !== undefined)
}
