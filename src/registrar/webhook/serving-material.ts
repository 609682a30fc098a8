import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Clock } from '../../runtime/clock.ts'
import { watchFiles } from '../../runtime/file-changes.ts'
import type { Log } from '../../runtime/log.ts'
import { Mutex } from '../../runtime/mutex.ts'
import { decodePem, encodePem } from '../../x509/pem.ts'

/** What a webhook serves with; PEM. */
export interface ServingMaterial {
  /** The leaf, then its intermediates. */
  readonly certificate: string
  readonly key: string
  /** Who may call: clients with a certificate of one of these. Undefined where nobody is asked for one. */
  readonly clientCas: readonly string[] | undefined
}

export interface ServingPaths {
  readonly certificate: string
  readonly key: string
  readonly clientCa: string | undefined
}

/** Files that a webhook cannot serve with. Never quotes the key. */
export class ServingMaterialError extends Error {
  override readonly name = 'ServingMaterialError'
  readonly code = 'WEBHOOK_CERTIFICATE'
}

/** For `tls.createSecureContext` and `https.createServer`. */
export function secureOptions({ certificate, key, clientCas }: ServingMaterial): SecureContextOptions {
  return { cert: certificate, key, ...(clientCas !== undefined && { ca: [...clientCas] }) }
}

/**
 * Reads and checks the files of a webhook. Where several are wrong, it says so of all, in the words of SPIRE's registrar.
 *
 * @throws {ServingMaterialError}
 */
export async function readServingFiles({ certificate, key, clientCa }: ServingPaths): Promise<ServingMaterial> {
  const [pair, clientCas] = await Promise.allSettled([
    readKeyPair(certificate, key),
    clientCa === undefined ? undefined : readClientCas(clientCa),
  ])
  if (pair.status === 'fulfilled' && clientCas.status === 'fulfilled')
    return { ...pair.value, clientCas: clientCas.value }
  const failures = [pair, clientCas].flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []))
  throw new ServingMaterialError(failures.map(({ message }) => message).join('; '), { cause: failures[0] })
}

/** The paths of a directory that holds a certificate as a Secret of the type kubernetes.io/tls does. */
export function servingDirectory(directory: string): ServingPaths {
  return { certificate: join(directory, 'tls.crt'), key: join(directory, 'tls.key'), clientCa: undefined }
}

/** Files that are read again whenever they change. */
export interface ServingFiles {
  close(): Promise<void>
}

/**
 * Follows the files of a webhook. What cannot be served with is told in the log, and what was read before stands.
 *
 * @param before - what is served with now
 * @param onChange - told of what was read, where it is something else
 */
export function followServingFiles(
  paths: ServingPaths,
  before: ServingMaterial,
  onChange: (material: ServingMaterial) => void,
  clock: Clock,
  log: Log,
): ServingFiles {
  const reads = new Mutex()
  let current = JSON.stringify(before)
  const read = (): Promise<void> =>
    reads.run(async () => {
      try {
        const material = await readServingFiles(paths)
        const text = JSON.stringify(material)
        if (text === current) return
        current = text
        onChange(material)
        log.info({ certificate: paths.certificate }, 'the webhook serves with the new files')
      } catch (error) {
        log.warn({ error }, 'the files of the webhook have changed and cannot be used, it serves with the former ones')
      }
    })
  const files = [paths.certificate, paths.key, ...(paths.clientCa === undefined ? [] : [paths.clientCa])]
  const changes = watchFiles(
    files,
    clock,
    () => void read(),
    (error) => log.warn({ error }, 'changes of the files of the webhook are not seen'),
  )
  return {
    async close() {
      changes.close()
      await reads.idle()
    },
  }
}

async function readKeyPair(certificate: string, key: string): Promise<Omit<ServingMaterial, 'clientCas'>> {
  try {
    const pair = { certificate: await readFile(certificate, 'latin1'), key: await readFile(key, 'latin1') }
    createSecureContext({ cert: pair.certificate, key: pair.key })
    return pair
  } catch (error) {
    throw new ServingMaterialError(`unable to load server keypair: ${(error as Error).message}`, { cause: error })
  }
}

async function readClientCas(path: string): Promise<readonly string[]> {
  let text: string
  try {
    text = await readFile(path, 'latin1')
  } catch (error) {
    throw new ServingMaterialError(`unable to read cacert file: ${(error as Error).message}`, { cause: error })
  }
  try {
    const blocks = decodePem(text).filter(({ label }) => label === 'CERTIFICATE')
    if (blocks.length === 0) throw new ServingMaterialError('it holds no certificate')
    return blocks.map(({ label, der }) => encodePem(label, new X509Certificate(der).raw))
  } catch (error) {
    throw new ServingMaterialError(`unable to parse cacert file: ${(error as Error).message}`, { cause: error })
  }
}
