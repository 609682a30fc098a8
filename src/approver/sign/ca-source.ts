import { readFile } from 'node:fs/promises'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { ObjectName, Secret } from '../../kubernetes/object.ts'
import { type Outage, Reflector } from '../../kubernetes/reflector.ts'
import { secrets } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import { watchFiles } from '../../runtime/file-changes.ts'
import type { Log } from '../../runtime/log.ts'
import { Mutex } from '../../runtime/mutex.ts'
import type { CaMaterial } from './signing-ca.ts'

/** Where a CA comes from. */
export type CaPlace =
  /** A Secret of type kubernetes.io/tls, as cert-manager writes it for a Certificate with `isCA`. */
  | { readonly secret: { readonly namespace: string; readonly name: string } }
  /** PEM files; the root may be left out where the certificate file ends with it. */
  | { readonly files: { readonly certificate: string; readonly key: string; readonly root?: string | undefined } }

/** Told what a place holds, at first and after each change. */
export interface CaListener {
  hold(material: CaMaterial): void
  /** It holds nothing that could be read. */
  miss(why: string): void
}

/** Something that is followed until it is closed. */
export interface CaSource {
  /** Resolves when the place was looked at once. */
  readonly synced: Promise<void>
  /** A time in which it cannot be followed. */
  readonly outage: Outage | undefined
  close(): Promise<void>
}

/** Follows a CA's place. */
export function openCaSource(
  place: CaPlace,
  listener: CaListener,
  client: Pick<KubernetesClient, 'pages' | 'watch'>,
  clock: Clock,
  log: Log,
): CaSource {
  return 'secret' in place
    ? followSecret(place.secret, listener, client, clock, log)
    : followFiles(place.files, listener, clock)
}

/** @returns the material, or why there is none, for people */
export function materialOf({ data = {} }: Secret): CaMaterial | { readonly why: string } {
  const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('latin1')
  const missing = ['tls.crt', 'tls.key'].filter((key) => text(key) === '')
  if (missing.length > 0) return { why: `it has no ${missing.join(' and no ')}` }
  return { certificate: text('tls.crt'), key: text('tls.key'), root: text('ca.crt') }
}

function followSecret(
  { namespace, name }: Required<ObjectName>,
  listener: CaListener,
  client: Pick<KubernetesClient, 'pages' | 'watch'>,
  clock: Clock,
  log: Log,
): CaSource {
  const what = `Secret ${namespace}/${name}`
  // Nothing of it is kept here: its key is in memory once, in the CA.
  const tell = (secret: Secret): void => {
    const material = materialOf(secret)
    if ('why' in material) listener.miss(`${what}: ${material.why}`)
    else listener.hold(material)
  }
  const reflector = new Reflector<Secret, undefined>({
    client,
    resource: secrets,
    namespace,
    fieldSelector: `metadata.name=${name}`,
    transform: () => undefined,
    handler: { added: tell, modified: tell, deleted: () => listener.miss(`${what} is gone`) },
    clock,
    log,
  })
  const synced = reflector.synced.then(() => {
    if (reflector.size === 0) listener.miss(`there is no ${what}`)
  })
  synced.catch(() => {})
  return {
    synced,
    get outage() {
      return reflector.outage
    },
    close: () => reflector.close(),
  }
}

function followFiles(
  { certificate, key, root }: Extract<CaPlace, { files: unknown }>['files'],
  listener: CaListener,
  clock: Clock,
): CaSource {
  const reads = new Mutex()
  const read = (): Promise<void> =>
    reads.run(async () => {
      try {
        listener.hold({
          certificate: await readFile(certificate, 'latin1'),
          key: await readFile(key, 'latin1'),
          root: root === undefined ? '' : await readFile(root, 'latin1'),
        })
      } catch (error) {
        // The message of a file that cannot be opened names the file and not what is in it.
        listener.miss((error as Error).message)
      }
    })
  const synced = read()
  const files = [certificate, key, ...(root === undefined ? [] : [root])]
  const changes = watchFiles(
    files,
    clock,
    () => void read(),
    (error) => listener.miss(`changes of the files are not seen: ${error.message}`),
  )
  return {
    synced,
    outage: undefined,
    async close() {
      changes.close()
      await reads.idle()
    },
  }
}
