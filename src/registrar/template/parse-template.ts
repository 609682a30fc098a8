import { toBytes } from './byte-text.ts'
import { deeper, parsePipeline, type Parsing, readText } from './parse-pipeline.ts'
import { TemplateError } from './template-error.ts'
import { expectToken, tokenCursor, unexpected } from './token-cursor.ts'
import { readTokens } from './tokens.ts'
import type { Step } from './tree.ts'

/** A template that was read: it may be carried out any number of times. */
export interface Template {
  readonly text: string
  readonly steps: readonly Step[]
  /** By their names: `{{define}}` and `{{block}}`. */
  readonly definitions: ReadonlyMap<string, readonly Step[]>
}

/** A configuration file's template is a line. */
const longestTemplate = 65_536

/**
 * Reads a template of Go's text/template. All of it is understood but complex numbers and hexadecimal floating-point ones.
 *
 * @throws {TemplateError}
 */
export function parseTemplate(text: string): Template {
  if (text.length > longestTemplate)
    throw new TemplateError(1, `the template is longer than ${longestTemplate} characters`)
  const parsing: TemplateParsing = {
    cursor: tokenCursor(readTokens(text)),
    scope: { variables: ['$'], ranges: 0 },
    depth: 0,
    definitions: new Map(),
  }
  return { text, steps: readMain(parsing), definitions: parsing.definitions }
}

interface TemplateParsing extends Parsing {
  readonly definitions: Map<string, readonly Step[]>
}

/** The action that ended a list of steps. */
interface Ending {
  readonly end: 'end' | 'else' | 'else if' | 'else with'
  readonly line: number
}

function readMain(parsing: TemplateParsing): readonly Step[] {
  const steps: Step[] = []
  for (let token = parsing.cursor.next(); token.kind !== 'end of text'; token = parsing.cursor.next()) {
    if (token.kind === 'text') {
      steps.push({ is: 'text', text: toBytes(token.text) })
    } else if (keywordAhead(parsing) === 'define') {
      readDefine(parsing)
    } else {
      const step = readAction(parsing)
      if ('end' in step) throw new TemplateError(step.line, `unexpected {{${step.end}}}`)
      steps.push(step)
    }
  }
  return steps
}

/** Up to the `{{end}}` or `{{else}}` that belongs to it. */
function readList(parsing: TemplateParsing): Ending & { readonly steps: readonly Step[] } {
  const steps: Step[] = []
  for (let token = parsing.cursor.next(); token.kind !== 'end of text'; token = parsing.cursor.next()) {
    if (token.kind === 'text') {
      steps.push({ is: 'text', text: toBytes(token.text) })
      continue
    }
    const step = readAction(parsing)
    if ('end' in step) return { ...step, steps }
    steps.push(step)
  }
  throw new TemplateError(parsing.cursor.peek().line, 'unexpected end of text: an {{end}} is missing')
}

/** What stands between two delimiters, of which the first was read. */
function readAction(parsing: TemplateParsing): Step | Ending {
  return deeper(parsing, () => {
    const { cursor } = parsing
    const { line } = cursor.peek()
    const keyword = keywordAhead(parsing)
    if (keyword === undefined || keyword === 'nil')
      return { is: 'action', pipeline: parsePipeline(parsing, 'close', 'command') }
    cursor.next()
    switch (keyword) {
      case 'if':
      case 'with':
      case 'range':
        return readControl(parsing, keyword)
      case 'end':
        expectToken(cursor, 'close', '{{end}}')
        return { end: keyword, line }
      case 'else':
        return { end: readElse(parsing), line }
      case 'break':
      case 'continue':
        expectToken(cursor, 'close', `{{${keyword}}}`)
        if (parsing.scope.ranges === 0) throw new TemplateError(line, `{{${keyword}}} outside {{range}}`)
        return { is: keyword }
      case 'template':
        return readCall(parsing, line)
      case 'block':
        return readBlock(parsing, line)
      default:
        throw new TemplateError(line, `unexpected ${keyword} in command`)
    }
  })
}

/** `{{else if}}` and `{{else with}}` are left in the middle of their action. */
function readElse(parsing: TemplateParsing): Ending['end'] {
  const next = keywordAhead(parsing)
  if (next === 'if' || next === 'with') return `else ${next}`
  expectToken(parsing.cursor, 'close', '{{else}}')
  return 'else'
}

function readControl(parsing: TemplateParsing, is: 'if' | 'with' | 'range'): Step {
  const { scope } = parsing
  const outside = scope.variables.length
  const pipeline = parsePipeline(parsing, 'close', is)
  if (is === 'range') scope.ranges++
  const { steps: body, ...ending } = readList(parsing)
  if (is === 'range') scope.ranges--
  const otherwise = readOtherwise(parsing, is, ending)
  scope.variables.length = outside
  return { is, pipeline, body, otherwise }
}

function readOtherwise(parsing: TemplateParsing, is: 'if' | 'with' | 'range', { end, line }: Ending): readonly Step[] {
  if (end === 'end') return []
  if (end === 'else') {
    const { steps, ...last } = readList(parsing)
    if (last.end !== 'end') throw new TemplateError(last.line, `expected {{end}}, found {{${last.end}}}`)
    return steps
  }
  if (end !== `else ${is}`) throw new TemplateError(line, `unexpected {{${end}}} in {{${is}}}`)
  return deeper(parsing, () => {
    parsing.cursor.next()
    return [readControl(parsing, is)]
  })
}

function readDefine(parsing: TemplateParsing): void {
  const { line } = parsing.cursor.next()
  const name = readName(parsing, '{{define}}')
  expectToken(parsing.cursor, 'close', '{{define}}')
  readDefinition(parsing, name, line)
}

function readCall(parsing: TemplateParsing, line: number): Step {
  const name = readName(parsing, '{{template}}')
  if (parsing.cursor.peek().kind !== 'close')
    return { is: 'template', line, name, pipeline: parsePipeline(parsing, 'close', 'template') }
  parsing.cursor.next()
  return { is: 'template', line, name, pipeline: undefined }
}

function readBlock(parsing: TemplateParsing, line: number): Step {
  const name = readName(parsing, '{{block}}')
  const pipeline = parsePipeline(parsing, 'close', 'block')
  readDefinition(parsing, name, line)
  return { is: 'template', line, name, pipeline }
}

function readName({ cursor }: Parsing, context: string): string {
  const token = cursor.next()
  if (token.kind !== 'string' && token.kind !== 'raw string') throw unexpected(token, context)
  return readText(token)
}

function readDefinition(parsing: TemplateParsing, name: string, line: number): void {
  const { scope: around, definitions } = parsing
  parsing.scope = { variables: ['$'], ranges: 0 }
  const { steps, ...last } = readList(parsing)
  parsing.scope = around
  if (last.end !== 'end')
    throw new TemplateError(last.line, `unexpected {{${last.end}}} in the template ${JSON.stringify(name)}`)
  const before = definitions.get(name)
  // One of nothing but space gives way to one that has more, in either order.
  if (before === undefined || isBlank(before)) definitions.set(name, steps)
  else if (!isBlank(steps)) throw new TemplateError(line, `the template ${JSON.stringify(name)} is defined twice`)
}

function isBlank(steps: readonly Step[]): boolean {
  return steps.every((step) => step.is === 'text' && step.text.trim() === '')
}

function keywordAhead({ cursor }: Parsing): string | undefined {
  const { kind, text } = cursor.peek()
  return kind === 'keyword' ? text : undefined
}
