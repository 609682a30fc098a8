/** A password that no keystore can be locked with. Never quotes it. */
export class KeystorePasswordError extends Error {
  override readonly name = 'KeystorePasswordError'
  readonly code = 'KEYSTORE_PASSWORD_INVALID'
}

/**
 * What is wrong with a password, for people, before any keystore is written.
 *
 * @returns undefined where nothing is; the text never quotes the password
 */
export function keystorePasswordProblem(password: string): string | undefined {
  if (!password.isWellFormed()) return 'the password is not valid Unicode'
  // PKCS#12 ends a password with a zero character (RFC 7292 B.1), and most readers stop at the first one.
  if (password.includes('\0')) return 'the password has a zero character, which ends it for most readers'
  return undefined
}

/**
 * A password as Java and PKCS#12 (RFC 7292 B.1, BMPString) take it. Characters outside the basic plane become two units each, as
 * OpenSSL and Java write them.
 *
 * @returns UTF-16, big endian, without an end mark
 * @throws {KeystorePasswordError}
 */
export function encodeKeystorePassword(password: string): Uint8Array<ArrayBuffer> {
  const problem = keystorePasswordProblem(password)
  if (problem !== undefined) throw new KeystorePasswordError(problem)
  return utf16Bytes(password)
}

/** @returns UTF-16, big endian */
export function utf16Bytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length * 2)
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < text.length; index++) view.setUint16(index * 2, text.charCodeAt(index))
  return bytes
}
