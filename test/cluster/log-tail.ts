import { readFile } from 'node:fs/promises'

/** The last lines of a log, for an error message. */
export async function logTail(file: string, lines = 20): Promise<string> {
  const log = await readFile(file, 'utf8').catch(() => '(nothing was logged)')
  return log.trimEnd().split('\n').slice(-lines).join('\n')
}
