import { readFile } from 'node:fs/promises'
import { delimiter, dirname, isAbsolute, resolve } from 'node:path'
import * as v from 'valibot'
import { type Document, LineCounter, parseDocument } from 'yaml'
import { ConfigurationError } from './errors.ts'

/** Absent, empty and null are one to kubectl. */
const text = v.optional(v.string())
const flag = v.optional(v.boolean())

const cluster = v.object({
  server: v.string(),
  'certificate-authority': text,
  'certificate-authority-data': text,
  'tls-server-name': text,
  'insecure-skip-tls-verify': flag,
  'proxy-url': text,
  // Answers are never asked for compressed, so there is nothing to switch off.
  'disable-compression': flag,
  extensions: v.optional(v.array(v.object({ name: v.string(), extension: v.unknown() }))),
})

const exec = v.object({
  apiVersion: v.picklist(['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']),
  command: v.string(),
  args: v.nullish(v.array(v.string())),
  env: v.nullish(v.array(v.object({ name: v.string(), value: v.string() }))),
  installHint: v.nullish(v.string()),
  provideClusterInfo: v.nullish(v.boolean()),
  interactiveMode: v.nullish(v.picklist(['Never', 'IfAvailable', 'Always'])),
})

const user = v.object({
  'client-certificate': text,
  'client-certificate-data': text,
  'client-key': text,
  'client-key-data': text,
  token: text,
  tokenFile: text,
  exec: v.optional(exec),
  username: text,
  password: text,
  'auth-provider': v.optional(v.unknown()),
  as: text,
  'as-uid': text,
  'as-groups': v.optional(v.array(v.string())),
  'as-user-extra': v.optional(v.record(v.string(), v.array(v.string()))),
})

const context = v.object({ cluster: v.string(), user: text, namespace: text })

const file = v.object({
  'current-context': v.nullish(v.string()),
  clusters: v.nullish(v.array(v.looseObject({ name: v.string() }))),
  users: v.nullish(v.array(v.looseObject({ name: v.string() }))),
  contexts: v.nullish(v.array(v.looseObject({ name: v.string() }))),
})

export type ClusterFields = v.InferOutput<typeof cluster>
export type UserFields = v.InferOutput<typeof user>
export type ContextFields = v.InferOutput<typeof context>

/** One named entry, and the file it stands in. */
export interface Entry<F> {
  readonly file: string
  /** As a person finds it: `users[ci].user`. */
  readonly place: string
  readonly fields: F
}

/** Kubeconfig files, merged: of each name the first entry counts (kubectl, "Merging kubeconfig files"). */
export interface Kubeconfig {
  readonly files: readonly string[]
  readonly currentContext: string | undefined
  readonly clusters: ReadonlyMap<string, Entry<unknown>>
  readonly users: ReadonlyMap<string, Entry<unknown>>
  readonly contexts: ReadonlyMap<string, Entry<unknown>>
}

/** What each kind of entry must look like. Only those in use are checked, as others may belong to other tools. */
export const entrySchemas = { cluster, user, context } as const

/**
 * Reads one file that must be there, or those of a `$KUBECONFIG` list that are.
 *
 * @throws {ConfigurationError} naming file and line; never quoting the file, which holds secrets
 */
export async function readKubeconfig(
  source: { readonly path: string } | { readonly paths: string },
): Promise<Kubeconfig> {
  const isList = 'paths' in source
  const paths = isList ? source.paths.split(delimiter).filter((path) => path !== '') : [source.path]
  const merged = { clusters: new Map(), users: new Map(), contexts: new Map() }
  const files: string[] = []
  let currentContext: string | undefined
  for (const path of paths) {
    const parsed = await readOne(resolve(path), isList)
    if (parsed === undefined) continue
    files.push(parsed.path)
    currentContext ??= parsed.content['current-context'] || undefined
    for (const [list, kind] of [
      ['clusters', 'cluster'],
      ['users', 'user'],
      ['contexts', 'context'],
    ] as const) {
      for (const entry of parsed.content[list] ?? []) {
        if (merged[list].has(entry.name)) continue
        merged[list].set(entry.name, {
          file: parsed.path,
          place: `${list}[${entry.name}].${kind}`,
          fields: entry[kind],
        })
      }
    }
  }
  if (files.length === 0) throw new ConfigurationError(`no kubeconfig file found at ${paths.join(', ')}`)
  return { files, currentContext, ...merged }
}

/**
 * Checks the fields of an entry.
 *
 * @throws {ConfigurationError} naming file, entry and field and what is expected, never what was found
 */
export function checkedEntry<S extends v.GenericSchema>(entry: Entry<unknown>, schema: S): Entry<v.InferOutput<S>> {
  const result = v.safeParse(schema, withoutEmpty(entry.fields ?? {}))
  if (result.success) return { ...entry, fields: result.output }
  throw wrongField(entry, result.issues[0])
}

/** An error about one field of an entry. */
export function fieldError(entry: Entry<unknown>, field: string, problem: string): ConfigurationError {
  return new ConfigurationError(`${entry.file}: ${entry.place}.${field}: ${problem}`)
}

/** A path in a kubeconfig file is relative to that file. */
export function pathIn(entry: Entry<unknown>, path: string): string {
  return isAbsolute(path) ? path : resolve(dirname(entry.file), path)
}

async function readOne(
  path: string,
  mayBeMissing: boolean,
): Promise<{ readonly path: string; readonly content: v.InferOutput<typeof file> } | undefined> {
  let source: string
  try {
    source = await readFile(path, 'utf8')
  } catch (error) {
    if (mayBeMissing && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ConfigurationError(`kubeconfig ${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  const lines = new LineCounter()
  // Pretty errors quote the file.
  const document = parseDocument(source, { prettyErrors: false, lineCounter: lines, logLevel: 'silent' })
  const [problem] = document.errors
  if (problem !== undefined) {
    throw new ConfigurationError(`${path}: line ${lines.linePos(problem.pos[0]).line} is not YAML (${problem.code})`)
  }
  const result = v.safeParse(file, contentOf(document, path) ?? {})
  if (!result.success) throw wrongField({ file: path, place: '', fields: undefined }, result.issues[0])
  return { path, content: result.output }
}

/** @throws {ConfigurationError} for aliases without an anchor, or too many of them; the error's own text would quote the file */
function contentOf(document: Document, path: string): unknown {
  try {
    return document.toJS()
  } catch {
    throw new ConfigurationError(`${path} is not YAML: its aliases lead nowhere, or to too much`)
  }
}

/** The issue's own text would quote the value, which may be a secret. */
function wrongField(entry: Entry<unknown>, issue: v.BaseIssue<unknown>): ConfigurationError {
  const field = [entry.place, v.getDotPath(issue) ?? ''].filter((part) => part !== '').join('.')
  return new ConfigurationError(`${entry.file}: ${field || 'content'}: expected ${issue.expected ?? 'something else'}`)
}

function withoutEmpty(fields: unknown): unknown {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return fields
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== ''))
}
