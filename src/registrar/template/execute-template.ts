import { type ByteText, fromBytes, toBytes } from './byte-text.ts'
import { FunctionError } from './function-error.ts'
import { callFunction } from './functions.ts'
import type { Template } from './parse-template.ts'
import { TemplateError } from './template-error.ts'
import { longestText, textOf, tooLong } from './text-of.ts'
import type { Command, Operand, Pipeline, Step } from './tree.ts'
import { type Fields, isTextMap, isTrue, kindOf, settled, type Value } from './value.ts'

/** Steps and commands that one execution may take: a template can loop, and runs for every pod. */
const mostSteps = 10_000
/** Templates within each other. */
const deepest = 20

/** One template at work. What it calls has variables and a depth of its own, and writes to the same text. */
interface Run {
  readonly template: Template
  readonly written: { text: ByteText; steps: number }
  readonly variables: { readonly name: string; value: Value }[]
  readonly depth: number
}

/**
 * Carries a template out.
 *
 * A key that a map lacks is nothing, which a condition may ask for; to print it is an error.
 *
 * @param data - the dot that it starts with
 * @throws {TemplateError}
 */
export function executeTemplate(template: Template, data: Fields): string {
  const written = { text: '', steps: 0 }
  walk({ template, written, variables: [{ name: '$', value: data }], depth: 0 }, template.steps, data)
  const text = fromBytes(written.text)
  if (text === undefined) throw new TemplateError(1, 'the result is no text: it cuts a letter in two')
  return text
}

/** What a `{{break}}` or `{{continue}}` does to the steps around it. */
type Jump = 'break' | 'continue' | undefined

function walk(run: Run, steps: readonly Step[], dot: Value): Jump {
  for (const step of steps) {
    switch (step.is) {
      case 'text':
        write(run, 1, step.text)
        break
      case 'action': {
        const { pipeline } = step
        const value = evaluate(run, pipeline, dot)
        if (pipeline.variables.length === 0)
          write(
            run,
            pipeline.line,
            atLine(pipeline.line, () => textOf(value)),
          )
        break
      }
      case 'template':
        callTemplate(run, step, dot)
        break
      case 'break':
      case 'continue':
        return step.is
      case 'if':
      case 'with':
      case 'range': {
        const jump = inScope(run, () => walkControl(run, step, dot))
        if (jump !== undefined) return jump
        break
      }
      default:
        return step satisfies never
    }
  }
  return undefined
}

function write({ written }: Run, line: number, text: ByteText): void {
  countStep(written, line)
  written.text += text
  if (written.text.length > longestText) throw new TemplateError(line, tooLong().message)
}

function countStep(written: Run['written'], line: number): void {
  if (++written.steps > mostSteps) throw new TemplateError(line, `the template takes more than ${mostSteps} steps`)
}

/** Variables live until the `{{end}}` of the action that they were declared in. */
function inScope<T>({ variables }: Run, walkInside: () => T): T {
  const outside = variables.length
  const result = walkInside()
  variables.length = outside
  return result
}

function walkControl(run: Run, step: Extract<Step, { readonly body: unknown }>, dot: Value): Jump {
  const value = evaluate(run, step.pipeline, dot)
  if (step.is === 'range') return walkRange(run, step, value, dot)
  if (!isTrue(value)) return walk(run, step.otherwise, dot)
  return walk(run, step.body, step.is === 'with' ? value : dot)
}

function walkRange(run: Run, step: Extract<Step, { readonly body: unknown }>, over: Value, dot: Value): Jump {
  const { line, variables } = step.pipeline
  const items = itemsOf(over, variables.length, line)
  let isEmpty = true
  for (const [key, item] of items) {
    isEmpty = false
    countStep(run.written, line)
    const [first, second] = variables
    if (first !== undefined) setVariable(run, first, second === undefined ? item : key, line)
    if (second !== undefined) setVariable(run, second, item, line)
    if (inScope(run, () => walk(run, step.body, item)) === 'break') break
  }
  return isEmpty ? walk(run, step.otherwise, dot) : undefined
}

/** Numbers below a number, or a map's values by their keys in order. */
function* itemsOf(over: Value, variables: number, line: number): Generator<readonly [Value, Value], void, void> {
  const seen = settled(over)
  if (seen === undefined) return
  if (isTextMap(seen)) {
    const entries = [...seen].map(([key, value]) => [toBytes(key), toBytes(value)] as const)
    yield* entries.sort(([a], [b]) => (a < b ? -1 : 1))
    return
  }
  const count = typeof seen === 'bigint' ? seen : undefined
  if (count === undefined || variables > 1) throw new TemplateError(line, `range cannot iterate over a ${kindOf(over)}`)
  for (let item = 0n; item < count; item++) yield [undefined, item]
}

function setVariable({ variables }: Run, name: string, value: Value, line: number): void {
  const variable = variables.findLast((known) => known.name === name)
  if (variable === undefined) throw new TemplateError(line, `undefined variable ${name}`)
  variable.value = value
}

function callTemplate(run: Run, step: Extract<Step, { readonly is: 'template' }>, dot: Value): void {
  const steps = run.template.definitions.get(step.name)
  if (steps === undefined) throw new TemplateError(step.line, `template ${JSON.stringify(step.name)} not defined`)
  if (run.depth === deepest) throw new TemplateError(step.line, 'templates call each other too deep')
  const value = step.pipeline === undefined ? undefined : evaluate(run, step.pipeline, dot)
  walk({ ...run, variables: [{ name: '$', value }], depth: run.depth + 1 }, steps, value)
}

/** The result of the last command. Variables get it too. */
function evaluate(run: Run, pipeline: Pipeline, dot: Value): Value {
  let results: readonly Value[] = []
  for (const command of pipeline.commands) results = [evaluateCommand(run, command, dot, results)]
  const [value] = results
  for (const name of pipeline.variables) {
    if (pipeline.assigns) setVariable(run, name, value, pipeline.line)
    else run.variables.push({ name, value })
  }
  return value
}

/** @param last - the result of the command before it, the last of its arguments */
function evaluateCommand(run: Run, command: Command, dot: Value, last: readonly Value[]): Value {
  const { operand, args, line } = command
  countStep(run.written, line)
  if (operand.is === 'function') {
    if (operand.name === 'and' || operand.name === 'or') return evaluateLogic(run, operand.name, command, dot, last)
    const values = [...args.map((arg) => evaluateOperand(run, arg, dot, line)), ...last]
    return atLine(line, () => callFunction(operand.name, values))
  }
  const hasArguments = args.length + last.length > 0
  if (operand.is === 'nil') throw new TemplateError(line, 'nil is not a command')
  // What a nil lacks it lacks with arguments too, as Go has it.
  if (hasArguments && !('path' in operand)) throw new TemplateError(line, "can't give argument to non-function")
  return evaluateOperand(run, operand, dot, line, hasArguments)
}

/** Arguments after the one that decides are not evaluated. */
function evaluateLogic(run: Run, name: 'and' | 'or', command: Command, dot: Value, last: readonly Value[]): Value {
  const values: Value[] = []
  for (const arg of command.args) {
    const value = evaluateOperand(run, arg, dot, command.line)
    if (isTrue(value) === (name === 'or')) return value
    values.push(value)
  }
  return atLine(command.line, () => (last.length > 0 ? last[0] : callFunction(name, values)))
}

function evaluateOperand(run: Run, operand: Operand, dot: Value, line: number, hasArguments = false): Value {
  switch (operand.is) {
    case 'constant':
      return operand.value
    case 'nil':
      return undefined
    case 'dot':
      return dot
    case 'field':
      return follow(dot, operand.path, line, hasArguments)
    case 'variable': {
      const variable = run.variables.findLast(({ name }) => name === operand.name)
      if (variable === undefined) throw new TemplateError(line, `undefined variable ${operand.name}`)
      if (hasArguments && operand.path.length === 0)
        throw new TemplateError(line, "can't give argument to non-function")
      return follow(variable.value, operand.path, line, hasArguments)
    }
    case 'function':
      countStep(run.written, line)
      return atLine(line, () => callFunction(operand.name, []))
    case 'pipeline':
      return evaluate(run, operand.pipeline, dot)
    case 'chain':
      return follow(evaluateOperand(run, operand.of, dot, line), operand.path, line, hasArguments)
    default:
      return operand satisfies never
  }
}

/** Fields of fields, and values of maps by their keys. */
function follow(start: Value, path: readonly string[], line: number, hasArguments: boolean): Value {
  let value = start
  for (const [index, name] of path.entries()) {
    const seen = settled(value)
    if (seen === undefined) continue
    if (typeof seen !== 'object' || 'byte' in seen) throw noField(name, seen, line)
    const field = isTextMap(seen) ? seen.get(name) : ownField(seen, name)
    if (field === undefined && !isTextMap(seen)) throw noField(name, seen, line)
    if (hasArguments && index === path.length - 1) throw new TemplateError(line, `${name} cannot take arguments`)
    if (field === undefined) value = { missing: name, zero: undefined }
    else value = typeof field === 'string' ? toBytes(field) : field
  }
  return value
}

function ownField(fields: Fields, name: string): Fields[string] | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined
}

function noField(name: string, value: Value, line: number): TemplateError {
  const known = typeof value === 'object' && !isTextMap(value) ? `, which has ${Object.keys(value).join(', ')}` : ''
  return new TemplateError(line, `can't evaluate field ${name} in a ${kindOf(value)}${known}`)
}

/** Adds the line to what a function says. */
function atLine<T>(line: number, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (error instanceof FunctionError) throw new TemplateError(line, error.message)
    throw error
  }
}
