import { join } from 'node:path'
import { run } from './command.ts'

/** A certificate and its key, each a PEM file. */
export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

/** Whom a certificate is for. */
export interface Subject {
  readonly commonName: string
  readonly organizations?: readonly string[]
  /** As openssl writes them, such as `DNS:localhost` or `IP:127.0.0.1`. */
  readonly alternativeNames?: readonly string[]
}

/**
 * Makes a certificate authority in a directory that exists: `NAME.crt` and `NAME.key`, P-256, for 30 days.
 *
 * @param name - the files' name and the subject's common name
 */
export async function createAuthority(directory: string, name: string): Promise<KeyPair> {
  const pair = files(directory, name)
  await request(pair, `/CN=${name}`, ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'])
  return pair
}

/** Makes a key and a certificate for servers and clients, `NAME.crt` and `NAME.key`, signed by `authority`. */
export async function issue(authority: KeyPair, directory: string, name: string, subject: Subject): Promise<KeyPair> {
  const pair = files(directory, name)
  const organizations = (subject.organizations ?? []).map((organization) => `/O=${organization}`).join('')
  const signer = ['-CA', authority.certificate, '-CAkey', authority.key]
  const extensions = ['basicConstraints=critical,CA:FALSE', 'extendedKeyUsage=serverAuth,clientAuth']
  if (subject.alternativeNames) extensions.push(`subjectAltName=${subject.alternativeNames.join(',')}`)
  const added = extensions.flatMap((extension) => ['-addext', extension])
  await request(pair, `${organizations}/CN=${subject.commonName}`, [...signer, ...added])
  return pair
}

async function request(pair: KeyPair, subject: string, args: readonly string[]): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', pair.key]
  await run('openssl', ['req', '-x509', '-days', '30', ...key, '-out', pair.certificate, '-subj', subject, ...args])
}

function files(directory: string, name: string): KeyPair {
  return { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) }
}
