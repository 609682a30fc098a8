import { type Keystores, revealPassword } from './keystores.ts'
import { attributeAliases, type AttributeName, attributePrefix, isKnownKey, kubeletKeys } from './attributes.ts'

/** Passwords of a volume by the full keys of their attributes. */
export type Passwords = Readonly<Record<string, string>>

/** Each password with the attribute that asks for what it guards. A CSI secret of the password's own name gives it as well. */
const passwords = [
  { name: 'pkcs12-password', askedBy: 'pkcs12-enable' },
  { name: 'jks-password', askedBy: 'jks-enable' },
] as const satisfies readonly { readonly name: AttributeName; readonly askedBy: AttributeName }[]

/** The passwords among the CSI secrets of a publish (`nodePublishSecretRef`); other secrets are left alone. */
export function passwordsOf(secrets: Readonly<Record<string, string>>): Passwords {
  return select((name) => secrets[name])
}

/** The passwords that a volume context holds, under either spelling. */
export function passwordsIn(context: Readonly<Record<string, string>>): Passwords {
  return select((name) => valueOf(context, name))
}

/** The passwords of the keystores that a volume has, as they are stored. */
export function passwordsFor({ pkcs12, jks }: Keystores): Passwords {
  const given = { 'pkcs12-password': pkcs12?.password, 'jks-password': jks?.password }
  return select((name) => {
    const password = given[name]
    return password === undefined ? undefined : revealPassword(password)
  })
}

/**
 * A context with passwords put over its own. One for a keystore that the volume does not ask for is left out: a Secret may serve
 * several volumes.
 */
export function withPasswords(
  context: Readonly<Record<string, string>>,
  given: Passwords,
): Readonly<Record<string, string>> {
  const merged: Record<string, string> = { ...context }
  for (const { name, askedBy } of passwords) {
    const password = given[attributePrefix + name]
    if (password === undefined || valueOf(context, askedBy) === undefined) continue
    for (const spelling of spellingsOf(name)) delete merged[attributePrefix + spelling]
    merged[attributePrefix + name] = password
  }
  return merged
}

/**
 * The part of a volume context that may be stored: no token, no password, and nothing under the driver's own prefix that it does not
 * know, as that may be a password whose name is misspelt.
 */
export function sanitizeContext(context: Readonly<Record<string, string>>): Record<string, string> {
  const secret = (key: string): boolean =>
    key === kubeletKeys.tokens || /password/i.test(key) || (key.startsWith(attributePrefix) && !isKnownKey(key))
  return Object.fromEntries(Object.entries(context).filter(([key]) => !secret(key)))
}

function select(find: (name: (typeof passwords)[number]['name']) => string | undefined): Passwords {
  return Object.fromEntries(
    passwords.flatMap(({ name }) => {
      const password = find(name) || undefined
      return password === undefined ? [] : [[attributePrefix + name, password]]
    }),
  )
}

function valueOf(context: Readonly<Record<string, string>>, name: AttributeName): string | undefined {
  return spellingsOf(name)
    .map((spelling) => context[attributePrefix + spelling])
    .find((value) => value !== undefined && value !== '')
}

/** The attribute's own name, then its aliases. */
function spellingsOf(name: AttributeName): readonly string[] {
  return [name, ...[...attributeAliases].filter(([, meant]) => meant === name).map(([alias]) => alias)]
}
