import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import * as v from 'valibot'
import { type Document, isNode, LineCounter, parseDocument } from 'yaml'
import { didYouMean } from '../runtime/did-you-mean.ts'
import { printable } from '../x509/printable.ts'
import { type VaultSettings, vaultSchema } from './vault/settings.ts'

/** The issuers that an administrator has named. */
export interface IssuersConfig {
  readonly issuers: readonly VaultSettings[]
  /** Every file that was read: a change of any of them may change the configuration. */
  readonly files: readonly string[]
}

/** Something that is wrong in the file. */
export interface ConfigProblem {
  /** Counted from 1; undefined where the whole file is meant. */
  readonly line: number | undefined
  readonly column: number | undefined
  /** Such as `issuers[0].pki.role`; empty for the whole. */
  readonly path: string
  readonly message: string
}

/** A configuration of issuers that cannot be used: nothing of it is. */
export class IssuersConfigError extends Error {
  override readonly name = 'IssuersConfigError'
  readonly code = 'ISSUERS_CONFIG'
  readonly problems: readonly ConfigProblem[]
  /** Every file that was looked at. */
  readonly files: readonly string[]

  constructor(file: string, problems: readonly ConfigProblem[], files: readonly string[] = [file]) {
    super(problems.map((problem) => describe(file, problem)).join('\n'))
    this.problems = problems
    this.files = files
  }
}

/** Keys beside those of {@link vaultSchema}: a CA may stand in a file of its own. */
const fileKeys = v.object({ issuers: v.optional(v.array(v.object({ caFile: v.optional(v.string()) }))) })

const configSchema = v.strictObject({ issuers: v.array(v.variant('kind', [vaultSchema])) })

/**
 * Reads the file of `--issuers-config`: YAML with a list `issuers`. An issuer's `caFile`, relative to the file, is read as its `ca`.
 *
 * @throws {IssuersConfigError} with everything that is wrong, each with its place
 */
export async function readIssuersConfig(file: string): Promise<IssuersConfig> {
  const files = [file]
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new IssuersConfigError(file, [wholeFile(`cannot be read: ${error.message}`)])
  })
  const { content, place } = parseText(file, text)
  const problems: ConfigProblem[] = []
  for (const { index, name, replace } of caFilesOf(content)) {
    const absolute = resolve(dirname(file), name)
    files.push(absolute)
    replace(
      await readFile(absolute, 'utf8').catch((error: Error) => {
        problems.push({ ...place(['issuers', index, 'caFile']), message: `cannot be read: ${error.message}` })
        return undefined
      }),
    )
  }
  const result = v.safeParse(configSchema, content)
  if (!result.success) {
    for (const issue of flatten(result.issues)) {
      const path = (issue.path ?? []).map(({ key }) => key as string | number)
      problems.push({ ...place(path), message: messageOf(issue) })
    }
    throw new IssuersConfigError(file, problems, files)
  }
  const { issuers } = result.output
  for (const { path, message } of repeated(issuers)) problems.push({ ...place(path), message })
  if (problems.length > 0) throw new IssuersConfigError(file, problems, files)
  return { issuers, files }
}

type Path = readonly (string | number)[]

/** Reads YAML, and finds the place of what stands in it. */
function parseText(file: string, text: string) {
  const lines = new LineCounter()
  // A prettier error would quote the file.
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'silent' })
  const broken = document.errors.map((error): ConfigProblem => {
    const { line, col } = lines.linePos(error.pos[0])
    return { line, column: col, path: '', message: printable(error.message) }
  })
  if (broken.length > 0) throw new IssuersConfigError(file, broken)
  try {
    return { content: document.toJS() as unknown, place: (path: Path) => placeOf(document, path, lines) }
  } catch (error) {
    // Such as aliases without an anchor, or too many of them.
    throw new IssuersConfigError(file, [wholeFile((error as Error).message)])
  }
}

interface CaFile {
  readonly index: number
  readonly name: string
  /** Puts what it holds in its place. */
  readonly replace: (ca: string | undefined) => void
}

function caFilesOf(content: unknown): CaFile[] {
  const parsed = v.safeParse(fileKeys, content)
  return (parsed.success ? (parsed.output.issuers ?? []) : []).flatMap(({ caFile }, index) => {
    const issuer = (content as { issuers: Record<string, unknown>[] }).issuers[index]
    // Both are one too many, which the schema then says of `caFile`.
    if (caFile === undefined || issuer === undefined || 'ca' in issuer) return []
    const replace = (ca: string | undefined): void => {
      delete issuer['caFile']
      if (ca !== undefined) issuer['ca'] = ca
    }
    return [{ index, name: caFile, replace }]
  })
}

function repeated(issuers: readonly VaultSettings[]): { readonly path: Path; readonly message: string }[] {
  return issuers.flatMap(({ kind, name }, index) =>
    issuers.slice(0, index).some((earlier) => earlier.kind === kind && earlier.name === name)
      ? [{ path: ['issuers', index, 'name'], message: `there is a ${kind} issuer ${name} already` }]
      : [],
  )
}

/** A variant whose kind is known reports what is wrong below it as issues of its own. */
function flatten(issues: readonly v.BaseIssue<unknown>[]): readonly v.BaseIssue<unknown>[] {
  return issues.flatMap((issue) => (issue.issues === undefined ? [issue] : flatten(issue.issues)))
}

function messageOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    const path = (issue.path ?? []).map(({ key }) => String(key))
    const key = path.at(-1) ?? ''
    if (key === 'caFile') return 'ca and caFile cannot both be given'
    const guess = didYouMean(key, knownKeys(path.slice(0, -1)))
    return `there is no such key${guess === undefined ? '' : `, did you mean ${guess}?`}`
  }
  if (issue.received === 'undefined') return 'is missing'
  if (issue.kind === 'schema')
    return `must be ${issue.expected ?? 'something else'}, and is ${printable(issue.received)}`
  return printable(issue.message)
}

/** The keys that there are at a place. */
function knownKeys([list, , part]: readonly string[]): readonly string[] {
  if (list === undefined) return ['issuers']
  const { entries } = vaultSchema
  if (part === undefined) return [...Object.keys(entries), 'caFile']
  return part === 'auth' || part === 'pki' ? Object.keys(entries[part].entries) : []
}

function wholeFile(message: string): ConfigProblem {
  return { line: undefined, column: undefined, path: '', message }
}

/** The place of a value, or of the nearest one around it that is there. */
function placeOf(document: Document.Parsed, path: Path, lines: LineCounter) {
  let named = ''
  for (const key of path) named += typeof key === 'number' ? `[${key}]` : `${named === '' ? '' : '.'}${key}`
  for (let depth = path.length; depth >= 0; depth--) {
    const node: unknown = document.getIn(path.slice(0, depth), true)
    if (!isNode(node) || node.range === undefined || node.range === null) continue
    const { line, col } = lines.linePos(node.range[0])
    return { line, column: col, path: named }
  }
  return { line: undefined, column: undefined, path: named }
}

function describe(file: string, { line, column, path, message }: ConfigProblem): string {
  const place = line === undefined ? file : `${file}:${line}:${column}`
  return `${place}: ${path === '' ? '' : `${path}: `}${message}`
}
