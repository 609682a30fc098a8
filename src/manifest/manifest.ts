import {
  type Document,
  LineCounter,
  type Node,
  type Pair,
  type YAMLError,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  parseAllDocuments,
  parseDocument,
  visit,
} from 'yaml'
import type { Location, Problem } from './problem.ts'
import type { Source } from './source.ts'

/** A value in a manifest, and where it stands, so that whoever finds it wrong can say where. */
export interface Field {
  readonly value: unknown
  /** As people write it: `spec.volumes[0].csi`; empty for a whole document. */
  readonly path: string
  readonly location: Location
  /** For the values below this one. */
  readonly place: Place
}

interface Place {
  readonly source: string
  readonly lines: LineCounter
  readonly document: Document
  /** Where the document's own positions begin in the source. */
  readonly offset: number
  readonly node: unknown
}

interface Parsed {
  readonly document: Document
  readonly offset: number
}

/** The documents of one source, and what is broken in it. */
export interface Manifest {
  readonly documents: readonly Field[]
  readonly problems: readonly Problem[]
}

/** What the YAML library says in these cases may quote the file, and so a password; ours says the same without it. */
const unquotedMessages: Readonly<Record<string, string>> = {
  UNEXPECTED_TOKEN: 'unexpected text here: a quote, bracket, comma or line break is missing before it',
  BAD_DQ_ESCAPE: 'invalid escape sequence in a double-quoted text',
  BAD_ALIAS: 'invalid alias',
  BAD_COLLECTION_TYPE: 'a tag that does not fit its value',
  BAD_DIRECTIVE: 'invalid directive: a line that begins with %',
  TAG_RESOLVE_FAILED: 'invalid tag, or a value that its tag does not allow',
}

/** The parser that the kubectl family uses reads YAML 1.1, without its dates and base-60 numbers: those stay text. */
const options = {
  version: '1.1',
  prettyErrors: false,
  logLevel: 'error',
  customTags: (tags: (string | { tag: string; format?: string })[]) =>
    tags.filter(
      (tag) => typeof tag === 'string' || (tag.tag !== 'tag:yaml.org,2002:timestamp' && tag.format !== 'TIME'),
    ),
} as const

/**
 * Reads YAML or JSON: several documents separated by `---`, or JSON objects one after the other. Empty documents are left out.
 *
 * @returns what could be read; a broken document is one problem, with its line and column
 */
export function readManifest(source: Source): Manifest {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(source.text, { ...options, lineCounter: lines } as object)
  const all = Array.isArray(parsed) ? (parsed as Document[]) : []
  const broken = all.some((document) => document.errors.length > 0)
  const documents =
    (broken ? readJsonStream(source.text) : undefined) ?? all.map((document) => ({ document, offset: 0 }))
  const fields: Field[] = []
  const problems: Problem[] = []
  for (const { document, offset } of documents) {
    const result = readDocument({ source: source.name, lines, document, offset, node: document.contents })
    if ('problem' in result) problems.push(result.problem)
    else if (result.value !== null && result.value !== undefined) fields.push(result)
  }
  return { documents: fields, problems }
}

/** The value below `field` under a key of an object, or at an index of a list; its value is undefined where there is none. */
export function child(field: Field, key: string | number): Field {
  const { value, path, location, place } = field
  const found = findChild(place.node, key, place.document)
  return {
    value: ownValue(value, key),
    path: typeof key === 'number' ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`,
    location: (found && locate(place, found.at)) ?? location,
    place: { ...place, node: found?.node },
  }
}

/** The value some steps below `field`. */
export function descend(field: Field, ...keys: readonly (string | number)[]): Field {
  return keys.reduce(child, field)
}

/** The items of a list; none where the value is no list. */
export function items(field: Field): Field[] {
  return Array.isArray(field.value) ? field.value.map((_, index) => child(field, index)) : []
}

/** The keys of an object; none where the value is no object. */
export function keys(field: Field): string[] {
  return isObject(field.value) ? Object.keys(field.value) : []
}

/** Whether a value is an object with keys, not a list and not null. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function ownValue(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) return typeof key === 'number' ? (value[key] as unknown) : undefined
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

function readDocument(place: Place): Field | { readonly problem: Problem } {
  const { document } = place
  const [error] = document.errors
  if (error !== undefined) {
    return { problem: { location: at(place, error.pos[0]), message: `broken YAML: ${errorMessage(error)}` } }
  }
  const start = locate(place, document.contents) ?? { source: place.source }
  const dangling = findDanglingAlias(document)
  if (dangling !== undefined) {
    return {
      problem: { location: locate(place, dangling) ?? start, message: 'broken YAML: an alias without its anchor' },
    }
  }
  try {
    return { value: document.toJS() as unknown, path: '', location: start, place }
  } catch {
    // The one thing left that toJS refuses: aliases that would unfold into millions of values.
    return { problem: { location: start, message: 'broken YAML: its aliases unfold into too many values' } }
  }
}

function errorMessage({ code, message }: YAMLError): string {
  const known = unquotedMessages[code]
  if (known !== undefined) return known
  return message.charAt(0).toLowerCase() + message.slice(1)
}

function findDanglingAlias(document: Document): Node | undefined {
  let dangling: Node | undefined
  visit(document, {
    Alias: (_key, alias) => {
      if (alias.resolve(document) !== undefined) return undefined
      dangling = alias
      return visit.BREAK
    },
  })
  return dangling
}

function findChild(
  node: unknown,
  key: string | number,
  document: Document,
): { readonly at: unknown; readonly node: unknown } | undefined {
  const resolved = isAlias(node) ? node.resolve(document) : node
  if (isSeq(resolved)) {
    const item = typeof key === 'number' ? resolved.items[key] : undefined
    return item === undefined ? undefined : { at: item, node: item }
  }
  if (!isMap(resolved)) return undefined
  const pair = resolved.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key))
  if (pair !== undefined) return { at: pair.key, node: pair.value }
  return resolved.items
    .filter(isMerge)
    .map((merge) => findMerged(merge.value, key, document))
    .find((found) => found !== undefined)
}

function isMerge(pair: Pair): boolean {
  return isScalar(pair.key) && (pair.key.value === '<<' || typeof pair.key.value === 'symbol')
}

function findMerged(merged: unknown, key: string | number, document: Document): ReturnType<typeof findChild> {
  const resolved = isAlias(merged) ? merged.resolve(document) : merged
  if (!isSeq(resolved)) return findChild(resolved, key, document)
  return resolved.items.map((item) => findChild(item, key, document)).find((found) => found !== undefined)
}

function locate(place: Place, node: unknown): Location | undefined {
  return isNode(node) && node.range ? at(place, node.range[0]) : undefined
}

function at({ source, lines, offset }: Place, position: number): Location {
  const { line, col } = lines.linePos(offset + position)
  return line === 0 ? { source } : { source, line, column: col }
}

/** JSON objects one after the other, as `jq` prints them; undefined where the text is anything else. */
function readJsonStream(text: string): Parsed[] | undefined {
  const documents: Parsed[] = []
  for (const [start, end] of jsonExtents(text)) {
    const part = text.slice(start, end)
    try {
      JSON.parse(part)
    } catch {
      return undefined
    }
    documents.push({ document: parseDocument(part, options as object) as Document, offset: start })
  }
  return documents.length > 0 ? documents : undefined
}

/** Where each bracketed text at the top level begins and ends; ends with a rest that will not parse where brackets do not close. */
function jsonExtents(text: string): [number, number][] {
  const extents: [number, number][] = []
  let depth = 0
  let start = 0
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]]|[^\s"{}[\]]/gs)) {
    if (depth === 0) start = index
    if (token === '{' || token === '[') depth++
    if (token === '}' || token === ']') depth--
    if (depth <= 0) extents.push([start, index + token.length])
  }
  if (depth > 0) extents.push([start, text.length])
  return extents
}
