import { createSecretKey, type KeyObject } from 'node:crypto'
import { keystorePasswordProblem } from '../x509/keystore-password.ts'
import { type Pkcs12Profile, pkcs12Profiles } from '../x509/pkcs12-protection.ts'
import { type AttributeName, type AttributeReader, attributePrefix } from './attributes.ts'

/** A keystore's password as a secret key object: neither a log nor JSON shows what it holds. */
export type KeystorePassword = KeyObject

export interface Pkcs12Choice {
  readonly password: KeystorePassword
  readonly profile: Pkcs12Profile
}

export interface JksChoice {
  readonly password: KeystorePassword
  /** The name of the key's entry. */
  readonly alias: string
}

/** The keystores that a volume asks for beside its PEM files. */
export interface Keystores {
  readonly pkcs12: Pkcs12Choice | undefined
  readonly jks: JksChoice | undefined
}

export function readKeystores(reader: AttributeReader): Keystores {
  return { pkcs12: readPkcs12(reader), jks: readJks(reader) }
}

export function revealPassword(password: KeystorePassword): string {
  return password.export().toString('utf8')
}

function readPkcs12(reader: AttributeReader): Pkcs12Choice | undefined {
  const companions = ['pkcs12-filename', 'pkcs12-truststore-filename', 'pkcs12-password', 'pkcs12-profile'] as const
  if (!isEnabled(reader, 'pkcs12-enable', companions)) return undefined
  const profile = reader.choice('pkcs12-profile', pkcs12Profiles, 'LegacyRC2')
  return { password: readPassword(reader, 'pkcs12-password'), profile }
}

function readJks(reader: AttributeReader): JksChoice | undefined {
  const companions = ['jks-filename', 'jks-truststore-filename', 'jks-password', 'jks-alias'] as const
  if (!isEnabled(reader, 'jks-enable', companions)) return undefined
  const alias = reader.text('jks-alias') ?? 'certificate'
  // In a JKS file the issuer's certificates stand beside the key, by these names.
  if (/^ca(?:-\d+)?$/i.test(alias)) {
    reader.problem('jks-alias', `invalid value ${JSON.stringify(alias)}: it names a certificate to trust`)
  }
  if (alias.length > longestAlias) reader.problem('jks-alias', `must not be longer than ${longestAlias} characters`)
  return { password: readPassword(reader, 'jks-password'), alias }
}

/** Three bytes a character at most, and the format counts bytes in 16 bits. */
const longestAlias = 20_000

/** What would be without effect is a problem, as with the Go driver, since its author expects a file. No value is quoted. */
function isEnabled(
  reader: AttributeReader,
  name: 'pkcs12-enable' | 'jks-enable',
  companions: readonly AttributeName[],
): boolean {
  if (reader.text(name) !== undefined) return reader.flag(name)
  for (const companion of companions) {
    if (reader.text(companion) === undefined) continue
    reader.problem(companion, `is without effect: set ${attributePrefix}${name} to "true" or leave it out`)
  }
  return false
}

function readPassword(reader: AttributeReader, name: 'pkcs12-password' | 'jks-password'): KeystorePassword {
  const password = reader.text(name)
  const where = `as this attribute, or under ${name} in the Secret that nodePublishSecretRef names`
  const problem = password === undefined ? `required: a password ${where}` : keystorePasswordProblem(password)
  if (problem !== undefined) reader.problem(name, problem)
  return createSecretKey(password ?? '', 'utf8')
}
