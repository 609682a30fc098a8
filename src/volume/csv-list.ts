import { utf8Bytes } from '../x509/bytes.ts'

/** A text that is not one record of CSV. */
export class CsvError extends Error {
  override readonly name = 'CsvError'
  readonly code = 'CSV_INVALID'
}

/**
 * Reads a list of values with commas between them, in which a value with commas of its own stands in quotes: one record of CSV
 * (RFC 4180) as Go's encoding/csv reads it, and so cert-manager and the Go driver.
 *
 * Nothing is trimmed: a quote behind a space is an error, as is a quote inside a value without quotes. Inside quotes, two stand for
 * one, and lines may break. Empty lines before and after the record do not count.
 *
 * @returns at least one value; values may be empty
 * @throws {CsvError} with Go's words and places: lines and columns from 1, columns in bytes of UTF-8
 * @example
 * ```ts
 * parseCsvList('"Acme, Inc.",Other') // ['Acme, Inc.', 'Other']
 * ```
 */
export function parseCsvList(text: string): string[] {
  // As Go: line ends become line feeds, also in quotes, and a carriage return at the very end goes.
  const csv = text.replace(/\r$/, '').replaceAll('\r\n', '\n')
  const start = csv.search(/[^\n]/)
  if (start < 0) throw new CsvError('no values found')
  const values: string[] = []
  let end = start - 1
  do {
    const field = csv[end + 1] === '"' ? readQuoted(csv, start, end + 1) : readPlain(csv, start, end + 1)
    values.push(field.value)
    end = field.end
  } while (csv[end] === ',')
  if (/[^\n]/.test(csv.slice(end))) throw new CsvError('expected one line of values, got several')
  return values
}

interface Field {
  readonly value: string
  /** Where the comma or the line's end behind it stands. */
  readonly end: number
}

function readPlain(csv: string, start: number, from: number): Field {
  const length = csv.slice(from).search(/[,\n]/)
  const end = length < 0 ? csv.length : from + length
  const value = csv.slice(from, end)
  const quote = value.indexOf('"')
  if (quote >= 0) throw parseError(csv, start, from + quote, 'bare " in non-quoted-field')
  return { value, end }
}

function readQuoted(csv: string, start: number, from: number): Field {
  let value = ''
  for (let offset = from + 1; ;) {
    const quote = csv.indexOf('"', offset)
    if (quote < 0) throw parseError(csv, start, csv.length, extraneous)
    value += csv.slice(offset, quote)
    const next = csv[quote + 1]
    if (next === undefined || next === ',' || next === '\n') return { value, end: quote + 1 }
    if (next !== '"') throw parseError(csv, start, quote, extraneous)
    value += '"'
    offset = quote + 2
  }
}

const extraneous = 'extraneous or missing " in quoted-field'

function parseError(csv: string, start: number, offset: number, problem: string): CsvError {
  const record = position(csv, start).line
  const { line, column } = position(csv, offset)
  const begin = line === record ? '' : `record on line ${record}; `
  return new CsvError(`${begin}parse error on line ${line}, column ${column}: ${problem}`)
}

function position(csv: string, offset: number): { line: number; column: number } {
  // Where the text ends with its last line, that line's end counts as a part of it.
  const before = csv.slice(0, offset)
  const lines = (offset === csv.length ? before.replace(/\n$/, ' ') : before).split('\n')
  return { line: lines.length, column: utf8Bytes(lines.at(-1) ?? '').length + 1 }
}
