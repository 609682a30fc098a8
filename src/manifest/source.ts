import { open } from 'node:fs/promises'
import type { Problem } from './problem.ts'

/** The text of one file, or of standard input. */
export interface Source {
  readonly name: string
  readonly text: string
}

/** What the user gave, as far as it could be read. */
export interface Sources {
  readonly sources: readonly Source[]
  readonly problems: readonly Problem[]
}

/** More than any manifest needs, and little enough to hold in memory, in bytes. */
const largestManifest = 16 * 1024 * 1024

const systemReasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'is a directory: name the files in it',
}

/**
 * Reads every file, in order; `-` is standard input.
 *
 * @param input - what `-` stands for
 * @param largest - how many bytes one may have. @default {16 MiB}
 * @returns the texts, and a problem for each file that cannot be read
 */
export async function readSources(
  files: readonly string[],
  input: AsyncIterable<Uint8Array>,
  largest = largestManifest,
): Promise<Sources> {
  const sources: Source[] = []
  const problems: Problem[] = []
  for (const file of files) {
    const name = file === '-' ? 'standard input' : file
    if (sources.some((source) => source.name === name)) {
      problems.push({ location: { source: name }, message: 'is given twice' })
      continue
    }
    try {
      const bytes = file === '-' ? await collect(input, largest) : await readWhole(file, largest)
      sources.push({ name, text: decodeText(bytes) })
    } catch (error) {
      problems.push({ location: { source: name }, message: reason(error) })
    }
  }
  return { sources, problems }
}

/**
 * Decodes UTF-8, or UTF-16 behind a byte order mark, as YAML 1.2 §5.2 has it. The mark is dropped.
 *
 * @throws {SourceError} on bytes that are neither
 */
export function decodeText(bytes: Uint8Array): string {
  const encoding = markOf(bytes)
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new SourceError(`is not text in ${encoding.toUpperCase()}`, { cause })
  }
}

/** A source that was found and still cannot be used. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
  readonly code = 'SOURCE_UNREADABLE'
}

function markOf(bytes: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  return 'utf-8'
}

async function readWhole(path: string, largest: number): Promise<Uint8Array> {
  const file = await open(path)
  try {
    // A stream, since a pipe or a device has no size to ask for.
    return await collect(file.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>, largest)
  } finally {
    await file.close()
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>, largest: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of chunks) {
    size += part.byteLength
    if (size > largest) throw new SourceError(`is larger than ${largest / 1024 / 1024} MiB`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function reason(error: unknown): string {
  if (error instanceof SourceError) return error.message
  const { code, message } = error as NodeJS.ErrnoException
  return systemReasons[code ?? ''] ?? `cannot be read: ${code ?? message}`
}
