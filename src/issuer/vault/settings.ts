import * as v from 'valibot'
import { parseGoDuration } from '../../runtime/go-duration.ts'
import { CertificateError, readCertificates } from '../../x509/certificate.ts'
import { parseRoleTemplate, type RoleTemplate, RoleTemplateError } from './role-template.ts'

const isLoopback = (host: string): boolean => host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host)

/** Where Vault is: scheme, host and port and nothing else, so that it is what redirects are compared with. */
const origin = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const url = URL.parse(dataset.value)
    const isPlain = url?.protocol === 'http:' && isLoopback(url.hostname)
    if (url !== null && (url.protocol === 'https:' || isPlain) && url.href === `${url.origin}/`) return url.origin
    addIssue({
      message: 'must be an https:// address with host and port only; http:// is for an agent on this node (127.0.0.1)',
    })
    return NEVER
  }),
)

/** A path such as `pki` or `team/pki`, without slashes at its ends. */
const mount = v.pipe(
  v.string(),
  v.transform((text) => text.replace(/^\/+|\/+$/g, '')),
  v.regex(/^[\w.-]+(\/[\w.-]+)*$/, 'must be a path in Vault, such as pki or team/pki'),
  v.check((text) => text.split('/').every((part) => !/^\.+$/.test(part)), 'must not hold "." or ".."'),
)

const role = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }): RoleTemplate => {
    try {
      return parseRoleTemplate(dataset.value)
    } catch (error) {
      if (!(error instanceof RoleTemplateError)) throw error
      addIssue({ message: error.message })
      return NEVER
    }
  }),
)

const timeout = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      const milliseconds = parseGoDuration(dataset.value)
      if (milliseconds >= 1000 && milliseconds <= 300_000) return milliseconds
    } catch {
      // The issue below says what is expected.
    }
    addIssue({ message: 'must be a duration from 1s to 5m, such as 30s' })
    return NEVER
  }),
)

const certificates = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    try {
      if (readCertificates(dataset.value).length > 0) return
      addIssue({ message: 'must hold certificates in PEM' })
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error
      addIssue({ message: `must hold certificates in PEM: ${error.message}` })
    }
  }),
)

const issuerReference = v.pipe(
  v.string(),
  v.regex(/^[\w.-]*\w$/, 'must be the name or id of an issuer of the PKI mount'),
)

const noVerbatim = (mount: string): boolean => !/(^|\/)sign-verbatim(\/|$)/.test(mount)

/** One Vault, as the administrator writes it. Every key that it does not know is a problem. */
export const vaultSchema = v.strictObject({
  kind: v.literal('Vault'),
  name: v.pipe(v.string(), v.regex(/^[A-Za-z0-9]([\w.-]{0,251}[A-Za-z0-9])?$/, 'must be a name such as corp')),
  address: origin,
  /** Where else a standby may send requests to: the other members of the same cluster. */
  redirects: v.optional(v.array(origin), []),
  ca: v.optional(certificates),
  /** The name that Vault's certificate must carry, where it is not the host of its address. */
  serverName: v.optional(v.pipe(v.string(), v.nonEmpty())),
  /** Of Vault Enterprise and OpenBao. */
  namespace: v.optional(mount),
  auth: v.strictObject({
    mount: v.optional(mount, 'kubernetes'),
    role,
    audience: v.optional(v.string(), 'vault'),
  }),
  pki: v.strictObject({
    mount: v.optional(
      v.pipe(mount, v.check(noVerbatim, 'must not lead to sign-verbatim, which signs whatever names a pod asks for')),
      'pki',
    ),
    role,
    issuer: v.optional(issuerReference),
  }),
  timeout: v.optional(timeout, '30s'),
  /** Whether certificates that a volume no longer has are revoked, with the pod's own rights. */
  revoke: v.optional(v.boolean(), false),
})

/** One Vault: where it is, how pods log in, and what signs. Durations are milliseconds. */
export type VaultSettings = v.InferOutput<typeof vaultSchema>
