import { type IssuanceError, IssuerRefusedError, IssuerUnavailableError, RequestDeniedError } from '../errors.ts'
import { type VaultAnswer, VaultConnectionError, VaultRedirectError } from './connection.ts'

/** What was asked of Vault, in words. */
export interface Attempt {
  /** Such as `Vault corp`. */
  readonly vault: string
  /** Whose name it was asked in, such as `service account sandbox/web`. */
  readonly account: string
  /** Such as `auth/kubernetes`, or `pki`. */
  readonly mount: string
  readonly role: string
  /** What the request is called where it is denied. */
  readonly request: string
  /** The audience of the token that was shown; undefined where none was. */
  readonly audience: string | undefined
}

/** What an answer to a login means that is no login. */
export function loginError(answer: VaultAnswer, attempt: Attempt): IssuanceError {
  const { vault, account, mount, role, audience } = attempt
  const what = `${vault} does not let ${account} log in with role ${role} at ${mount}: ${wordsOf(answer)}`
  const common = commonError(answer, what, mount)
  if (common !== undefined) return common
  if (answer.errors.includes('invalid role name')) {
    return new IssuerRefusedError(`${what}; check that the role exists (vault list ${mount}/role)`)
  }
  if (answer.status === 403) {
    const shown = audience === '' ? 'no audience, as the API server is the one of the token' : `audience=${audience}`
    return new IssuerRefusedError(
      `${what}; check that the account exists, that the role has it among bound_service_account_names and ` +
        `bound_service_account_namespaces and has ${shown}, and that Vault may create TokenReviews; Vault's own log says more at level debug`,
    )
  }
  return new IssuerRefusedError(`${what}; check the role's settings (vault read ${mount}/role/${role})`)
}

/** What an answer to a signing means that is no certificate. */
export function signError(answer: VaultAnswer, attempt: Attempt): IssuanceError {
  const { vault, account, mount, role, request } = attempt
  const what = `${vault} does not sign for ${account} with role ${role} at ${mount}: ${wordsOf(answer)}`
  const common = commonError(answer, what, mount)
  if (common !== undefined) return common
  if (answer.status === 403) {
    return new IssuerRefusedError(
      `${what}; check that a policy of the account's Vault token allows update on ${mount}/sign/${role}`,
    )
  }
  const { errors } = answer
  const setting = settingProblems.find(({ says }) => says.test(errors))
  if (setting !== undefined) return new IssuerRefusedError(`${what}; ${setting.check}`)
  const name = nameProblems.find(({ says }) => says.test(errors))
  return new RequestDeniedError(request, `${wordsOf(answer)}; ${name?.check ?? 'check what the role allows'}`)
}

/** What a failed attempt to reach Vault means. */
export function connectionError(error: unknown, vault: string): IssuanceError {
  if (error instanceof VaultRedirectError) {
    return new IssuerRefusedError(
      `${vault}: ${error.message}, where no token is sent; if that is a member of the same cluster, add it to the issuer's redirects, ` +
        'else check api_addr in the configuration of Vault',
      { cause: error },
    )
  }
  if (error instanceof VaultConnectionError) {
    return new IssuerUnavailableError(`${vault} at ${error.message}`, { cause: error })
  }
  throw error
}

/** What Vault refuses because of its own settings: no pod is at fault, and the same request may be signed once they are mended. */
const settingProblems: readonly { readonly says: RegExp; readonly check: string }[] = [
  { says: /unknown role/, check: 'check that the role exists in that mount' },
  {
    says: /could not fetch the CA certificate|no default issuer|unable to (find|fetch).*issuer/i,
    check: 'check that the mount has a CA to sign with',
  },
]

/** What a role refuses, each with the setting that decides. */
const nameProblems: readonly { readonly says: RegExp; readonly check: string }[] = [
  {
    says: /common_name field is required/,
    check: 'set require_cn=false on the role, or give the volume a common-name',
  },
  {
    says: /(common name|subject alternate name|email address) .* not allowed/,
    check: "check the role's allowed_domains, allow_subdomains, allow_bare_domains and allow_glob_domains",
  },
  { says: /URI Subject Alternative Name|URI.*not allowed/i, check: "check the role's allowed_uri_sans" },
  { says: /IP Subject Alternative Name/, check: "check the role's allow_ip_sans" },
  { says: /other SAN/, check: "check the role's allowed_other_sans" },
  {
    says: /requires? (keys of type|.*bits)|key type|key bits/i,
    check: "check the role's key_type and key_bits, and the volume's key-algorithm",
  },
  { says: /beyond the expiration/, check: "ask for a shorter duration, or see the issuer's leaf_not_after_behavior" },
]

function commonError({ status, errors }: VaultAnswer, what: string, mount: string): IssuanceError | undefined {
  if (status === 503 && /sealed/i.test(errors)) return new IssuerUnavailableError(`${what}; unseal it`)
  if (status === 429) return new IssuerUnavailableError(`${what}; its rate limit quota is used up`)
  // 412: not replicated yet. 472 and 473: standbys. Where nothing is said by a 200, it was not Vault that answered.
  if (status === 412 || status === 472 || status === 473 || status >= 500) return new IssuerUnavailableError(what)
  if (status === 200) return new IssuerUnavailableError(`${what}; check that the address is one of Vault`)
  if (status === 404) {
    return new IssuerRefusedError(`${what}; check that ${mount} is mounted there, in the namespace that is configured`)
  }
  return undefined
}

function wordsOf({ status, errors }: VaultAnswer): string {
  if (status === 200) return 'its answer is not of the expected form'
  return errors === '' ? `status ${status}` : `${errors} (status ${status})`
}
