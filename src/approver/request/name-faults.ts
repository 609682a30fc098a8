import type { CertificateRequest } from '../../x509/certificate-request.ts'
import { printable } from '../../x509/printable.ts'
import { canonicalIp, formatName, type NameKind, subjectKinds } from './asked-names.ts'
import { isDnsName, isWildcardName } from '../../x509/dns-name.ts'
import type { RequestFault } from './fault.ts'
import { parseUri } from './uri.ts'

/** More than a pod has use for, and few enough to look at one by one. */
export const mostNames = 100

/** RFC 5280 A.1: the upper bounds of the attribute types. */
const upperBounds: Partial<Record<NameKind, number>> = {
  commonNames: 64,
  organizations: 64,
  organizationalUnits: 64,
  countries: 2,
  serialNumbers: 64,
}
const longestValue = 128

/** Attribute types that a name has once, because readers take the first or the last of several. */
const single: ReadonlySet<string> = new Set(['CN', 'serialNumber'])

/** What is wrong with the names of a request, by themselves: none of it depends on a policy. */
export function nameFaults(request: Pick<CertificateRequest, 'subject' | 'names'>): RequestFault[] {
  return [...subjectFaults(request), ...alternativeNameFaults(request)]
}

function subjectFaults({ subject }: Pick<CertificateRequest, 'subject'>): RequestFault[] {
  const attributes = subject.flat()
  const fault = (value: string, why: string): RequestFault => ({
    rule: 'request.subject',
    value: printable(value),
    why,
  })
  const faults = attributes.flatMap(({ type, value }) => {
    const kind = subjectKinds[type]
    if (kind === undefined) return [fault(type, `subjects have no ${printable(type)}`)]
    const bound = upperBounds[kind] ?? longestValue
    // Counted in UTF-16, which is never less than the characters that the bound counts.
    if (value.length > bound) return [fault(`${type}=${value}`, `${type} is longer than ${bound} characters`)]
    if (value.trim() !== value) return [fault(`${type}=${value}`, `${type} begins or ends with a space`)]
    // What is not seen makes two names look like one.
    if (printable(value) !== value) return [fault(`${type}=${value}`, `${type} holds characters that cannot be seen`)]
    return []
  })
  for (const type of single) {
    const count = attributes.filter((attribute) => attribute.type === type).length
    if (count > 1) faults.push(fault(type, `${type} stands ${count} times in the subject`))
  }
  return faults
}

function alternativeNameFaults({ subject, names }: Pick<CertificateRequest, 'subject' | 'names'>): RequestFault[] {
  const fault = (value: string, why: string): RequestFault => ({ rule: 'request.names', value: printable(value), why })
  const count = names.dns.length + names.ip.length + names.uri.length + names.email.length
  if (count + subject.length === 0) return [fault('', 'it asks for no name at all')]
  if (count > mostNames) return [fault(String(count), `it asks for ${count} names, and ${mostNames} are the most`)]
  const bad = (kind: NameKind, list: readonly string[], isGood: (name: string) => boolean, expected: string) =>
    list.filter((name) => !isGood(name)).map((name) => fault(formatName(kind, name), `it is no ${expected}`))
  const dnsName = (name: string): boolean => isDnsName(name.toLowerCase()) || isWildcardName(name.toLowerCase())
  return [
    ...bad('dnsNames', names.dns, dnsName, 'DNS name of letters, digits and hyphens, each label 63 at most'),
    ...bad(
      'ipAddresses',
      names.ip,
      (address) => canonicalIp(address) === address,
      'address in its own form: IPv4 is inside IPv6',
    ),
    ...bad('uris', names.uri, (uri) => parseUri(uri) !== undefined, plainUri),
    ...bad('emailAddresses', names.email, isEmail, 'e-mail address of a plain mailbox and a DNS name'),
  ]
}

const plainUri =
  'URI of scheme, host and plain path: no user, query, fragment, percent-encoding, empty or dot segment, asterisk or final slash'

/** RFC 5321 §4.1.2 Dot-string; quoted mailboxes are not taken. */
function isEmail(email: string): boolean {
  const at = email.lastIndexOf('@')
  return (
    /^[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*$/.test(email.slice(0, at)) && isDnsName(email.slice(at + 1).toLowerCase())
  )
}
