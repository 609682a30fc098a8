import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../kubernetes/fixtures/manual-clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { X509Certificate } from 'node:crypto'
import { createCertificateRequest } from '../../x509/certificate-request.ts'
import { noNames } from '../../x509/general-names.ts'
import { buildSubject } from '../../x509/name.ts'
import { newKey } from '../../x509/test-pki.ts'
import {
  IssuerRefusedError,
  IssuerUnavailableError,
  RequestDeniedError,
  RequestGoneError,
  TokenMissingError,
} from '../errors.ts'
import type { IssuanceRequest, PodCredentials } from '../issuer.ts'
import { VaultConnection } from './connection.ts'
import { ScriptedVault } from './fixtures/scripted-vault.ts'
import { settingsFor } from './fixtures/vault-settings.ts'
import { givenToken, PodSessions } from './sessions.ts'
import { VaultIssuer } from './vault-issuer.ts'

const never = new AbortController().signal
const minute = 60_000

let vault: ScriptedVault
let clock: ManualClock
/** What the kubelet has sent, by audience. */
let podTokens: Record<string, string>
let obstacle: string | undefined
const issuers: VaultIssuer[] = []

beforeEach(async () => {
  vault = await ScriptedVault.start()
  clock = new ManualClock(Date.now())
  podTokens = { vault: 'pod-token' }
  obstacle = undefined
})

afterEach(async () => {
  await Promise.all(issuers.splice(0).map((issuer) => issuer.close()))
  await vault.close()
})

const credentials: PodCredentials = { token: (audience) => podTokens[audience] }

function issuerWith(changes: Readonly<Record<string, unknown>> = {}): VaultIssuer {
  const settings = settingsFor(vault, changes)
  const connection = new VaultConnection({ ...settings, clock })
  const sessions = new PodSessions({ connection, settings, clock, log: silentLog, tokenObstacle: () => obstacle })
  const issuer = new VaultIssuer({ settings, connection, sessions })
  issuers.push(issuer)
  return issuer
}

let requests = 0

/** A request of the one volume of a pod, but for what is given. */
function request({ pod = 'a', volume }: { readonly pod?: string; readonly volume?: string } = {}): IssuanceRequest {
  const names = { ...noNames, dns: ['web.sandbox.svc.cluster.local'] }
  return {
    id: String(requests++),
    volumeId: volume ?? `volume of ${pod}`,
    pod: { namespace: 'sandbox', name: pod, uid: `uid of ${pod}`, serviceAccount: 'web' },
    issuer: { group: 'podpass.io', kind: 'Vault', name: 'corp' },
    csr: createCertificateRequest(newKey(), { subject: buildSubject({}), names, extensions: [] }),
    usages: ['digital signature'],
    isCA: false,
    duration: 720 * 60 * minute + 999,
    annotations: {},
  }
}

describe('a certificate', () => {
  test('is signed for the request alone, with the pod logged in under its role, and comes with its CA', async () => {
    const issuer = issuerWith()
    const asked = request()
    const handle = await issuer.submit(asked, never, credentials)
    const { chain, ca } = await issuer.wait(handle, never)
    expect(vault.calls.map(({ path, token, body }) => ({ path, token, body }))).toEqual([
      { path: 'auth/kubernetes/login', token: undefined, body: { role: 'sandbox_web', jwt: 'pod-token' } },
      {
        path: 'pki/sign/pods',
        token: 'vault-token-1',
        body: { csr: asked.csr, ttl: '2592000s', format: 'pem', exclude_cn_from_sans: true },
      },
    ])
    expect(new X509Certificate(chain).subjectAltName).toBe('DNS:web.sandbox.svc.cluster.local')
    expect(ca).toBe(vault.root)
    expect(handle.name).toMatch(/^request \d+ to Vault corp \(serial ([0-9a-f]{2}:)+[0-9a-f]{2}\)$/)
  })

  test('is signed by the issuer of the mount that is named, under the role of the pod', async () => {
    const pki = { mount: 'team/pki', issuer: 'blue', role: '${POD_NAMESPACE}' }
    await issuerWith({ auth: { mount: 'k8s-prod', role: 'x' }, pki }).submit(request(), never, credentials)
    expect(vault.calls.map(({ path }) => path)).toEqual(['auth/k8s-prod/login', 'team/pki/issuer/blue/sign/sandbox'])
  })

  test('that was stored in the handle is not signed again', async () => {
    const asked = request()
    const handle = await issuerWith().submit(asked, never, credentials)
    const stored = JSON.parse(JSON.stringify(handle)) as typeof handle
    const restarted = issuerWith()
    expect(await restarted.submit(asked, never, undefined, stored)).toEqual(handle)
    expect(await restarted.wait(stored, never)).toEqual(await issuerWith().wait(handle, never))
    expect(vault.callsOf('sign/pods')).toHaveLength(1)
  })

  test('whose handle was lost is signed once more', async () => {
    const issuer = issuerWith()
    const asked = request()
    const [one, other] = [
      await issuer.submit(asked, never, credentials),
      await issuer.submit(asked, never, credentials),
    ]
    expect(other.id).toBe(one.id)
    expect(other.reference['serial']).not.toBe(one.reference['serial'])
  })

  test('cannot come from the handle of another issuer', async () => {
    const handle = { id: '1', name: 'request 1', reference: {} }
    await expect(issuerWith().wait(handle, never)).rejects.toThrow(RequestGoneError)
  })

  test('can be asked for with a token that was given, which is not revoked', async () => {
    const settings = settingsFor(vault)
    const connection = new VaultConnection({ ...settings, clock })
    const issuer = new VaultIssuer({ settings, connection, sessions: givenToken('given') })
    await issuer.submit(request(), never)
    await issuer.forget('volume of a')
    await issuer.close()
    expect(vault.calls.map(({ path, token }) => [path, token])).toEqual([['pki/sign/pods', 'given']])
  })
})

describe('a login', () => {
  test('serves all requests of a pod at once and later, until shortly before its end', async () => {
    const issuer = issuerWith()
    await Promise.all([
      issuer.submit(request({ volume: '1' }), never, credentials),
      issuer.submit(request({ volume: '2' }), never, credentials),
    ])
    podTokens = {}
    clock.set(clock.now() + 58 * minute)
    await issuer.submit(request(), never, credentials)
    expect(vault.callsOf('login')).toHaveLength(1)
    clock.set(clock.now() + 2 * minute)
    podTokens = { vault: 'pod-token-2' }
    await issuer.submit(request(), never, credentials)
    expect(vault.callsOf('login').map(({ body }) => body['jwt'])).toEqual(['pod-token', 'pod-token-2'])
  })

  test('is made for each pod', async () => {
    const issuer = issuerWith()
    await issuer.submit(request({ pod: 'a' }), never, credentials)
    await issuer.submit(request({ pod: 'b' }), never, credentials)
    expect(vault.callsOf('sign/pods').map(({ token }) => token)).toEqual(['vault-token-1', 'vault-token-2'])
  })

  test('that Vault has forgotten is made again, once', async () => {
    const issuer = issuerWith()
    await issuer.submit(request(), never, credentials)
    vault.fail('sign/pods', { status: 403, errors: ['permission denied'] })
    await issuer.submit(request(), never, credentials)
    expect(vault.callsOf('sign/pods').map(({ token }) => token)).toEqual([
      'vault-token-1',
      'vault-token-1',
      'vault-token-2',
    ])
  })

  test('that was just made is believed, so that a missing right makes no loop of logins', async () => {
    const issuer = issuerWith()
    const denied = { status: 403, errors: ['1 error occurred:\n\t* permission denied\n\n'] }
    vault.fail('sign/pods', denied)
    const submission = issuer.submit(request(), never, credentials)
    await expect(submission).rejects.toThrow(IssuerRefusedError)
    await expect(submission).rejects.toThrow(
      'Vault corp does not sign for service account sandbox/web with role pods at pki: permission denied (status 403); ' +
        "check that a policy of the account's Vault token allows update on pki/sign/pods",
    )
    expect(vault.callsOf('login')).toHaveLength(1)
  })

  test('that a volume gives up goes on for the other volumes of its pod', async () => {
    const issuer = issuerWith()
    const giving = new AbortController()
    vault.fail('login', () => giving.abort(new Error('unpublished')))
    const given = issuer.submit(request({ volume: '1' }), giving.signal, credentials)
    const other = issuer.submit(request({ volume: '2' }), never, credentials)
    await expect(given).rejects.toThrow('unpublished')
    expect((await other).reference['volume']).toBe('2')
  })

  test('with a token of another account is refused', async () => {
    vault.auth = { metadata: { service_account_namespace: 'sandbox', service_account_name: 'admin' } }
    await expect(issuerWith().submit(request(), never, credentials)).rejects.toThrow('is one of another account')
    expect(vault.callsOf('sign/pods')).toEqual([])
  })

  test('uses the token of its own audience; the API server has none', async () => {
    podTokens = { vault: 'for-vault', '': 'for-the-api-server' }
    await issuerWith({ auth: { role: 'x', audience: '' } }).submit(request(), never, credentials)
    expect(vault.calls[0]?.body['jwt']).toBe('for-the-api-server')
  })

  test('without a token waits for the kubelet, and where the CSIDriver object is why, that is told', async () => {
    podTokens = { '': 'for-the-api-server' }
    const issuer = issuerWith()
    await expect(issuer.submit(request(), never, credentials)).rejects.toThrow(TokenMissingError)
    obstacle = 'the CSIDriver object csi.cert-manager.io must have tokenRequests: [{audience: "vault"}]'
    const submission = issuer.submit(request(), never, credentials)
    await expect(submission).rejects.toThrow(IssuerRefusedError)
    await expect(submission).rejects.toThrow(`Vault corp needs tokens of pods: ${obstacle}`)
    expect(vault.calls).toEqual([])
  })
})

describe('a volume that goes', () => {
  test('ends the login once it is the last of its pod', async () => {
    const issuer = issuerWith()
    await issuer.submit(request({ volume: '1' }), never, credentials)
    await issuer.submit(request({ volume: '2' }), never, credentials)
    await issuer.forget('1')
    expect(vault.callsOf('revoke-self')).toEqual([])
    await issuer.forget('2')
    expect(vault.callsOf('revoke-self').map(({ token }) => token)).toEqual(['vault-token-1'])
    await issuer.forget('2')
    expect(vault.callsOf('revoke-self')).toHaveLength(1)
  })

  test('leaves alone what cannot be revoked, or has ended', async () => {
    vault.auth = { token_type: 'batch' }
    const issuer = issuerWith()
    await issuer.submit(request({ pod: 'a' }), never, credentials)
    vault.auth = {}
    await issuer.submit(request({ pod: 'b' }), never, credentials)
    await issuer.forget('volume of a')
    clock.set(clock.now() + 60 * minute)
    await issuer.forget('volume of b')
    expect(vault.callsOf('revoke-self')).toEqual([])
  })

  test('is told where its login stays with Vault', async () => {
    const issuer = issuerWith()
    await issuer.submit(request(), never, credentials)
    vault.fail('revoke-self', { status: 500, errors: ['internal error'] })
    await expect(issuer.forget('volume of a')).rejects.toThrow('a token is left with Vault: internal error')
  })

  test('has its certificates revoked where the administrator wants it', async () => {
    const issuer = issuerWith({ revoke: true })
    const handle = await issuer.submit(request(), never, credentials)
    await issuer.discard(handle)
    expect(vault.callsOf('pki/revoke')).toMatchObject([
      { token: 'vault-token-1', body: { serial_number: handle.reference['serial'] } },
    ])
    vault.fail('pki/revoke', { status: 403, errors: ['permission denied'] })
    await expect(issuer.discard(handle)).rejects.toThrow('does not revoke')
    await issuer.forget('volume of a')
    await issuer.discard(handle)
    expect(vault.callsOf('pki/revoke')).toHaveLength(2)
  })

  test('leaves its certificates to their end otherwise', async () => {
    const issuer = issuerWith()
    await issuer.discard(await issuer.submit(request(), never, credentials))
    expect(vault.callsOf('revoke')).toEqual([])
  })
})

test('a driver that stops ends all logins, and does not wait for a Vault that does not answer', async () => {
  const issuer = issuerWith()
  await issuer.submit(request({ pod: 'a' }), never, credentials)
  await issuer.submit(request({ pod: 'b' }), never, credentials)
  vault.fail('revoke-self', () => {})
  const closed = issuer.close()
  while (vault.callsOf('revoke-self').length < 2) await new Promise((resolve) => setImmediate(resolve))
  await clock.advance(2000)
  await closed
  await expect(issuer.submit(request({ pod: 'c' }), never, credentials)).rejects.toThrow(IssuerUnavailableError)
})

describe('what Vault answers', () => {
  test.each([
    ['a sealed Vault', 503, 'Vault is sealed', IssuerUnavailableError, 'unseal it'],
    ['a standby without an active node', 503, 'no active Vault instance found', IssuerUnavailableError, 'no active'],
    ['a standby that must not be asked', 473, '', IssuerUnavailableError, 'status 473'],
    ['trouble of its own', 500, 'internal error', IssuerUnavailableError, 'internal error'],
    [
      'a mount that is not there',
      404,
      'no handler for route',
      IssuerRefusedError,
      'check that auth/kubernetes is mounted',
    ],
    [
      'a role that is not there',
      400,
      'invalid role name "sandbox_web"',
      IssuerRefusedError,
      'check that the role exists',
    ],
    ['a role for others', 403, 'namespace not authorized', IssuerRefusedError, 'bound_service_account_namespaces'],
    ['something that is no login', 200, '', IssuerUnavailableError, 'check that the address is one of Vault'],
  ])('to a login, %s', async (_what, status, text, Kind, words) => {
    vault.fail('login', { status, errors: text === '' ? [] : [text] })
    const submission = issuerWith().submit(request(), never, credentials)
    await expect(submission).rejects.toThrow(Kind)
    await expect(submission).rejects.toThrow(words)
  })

  test.each([
    ['a name', 'subject alternate name x not allowed by this role', RequestDeniedError, 'allowed_domains'],
    [
      'a URI',
      'URI Subject Alternative Names were provided via CSR which are not valid for this role',
      RequestDeniedError,
      'allowed_uri_sans',
    ],
    [
      'an address',
      'IP Subject Alternative Names are not allowed in this role, but was provided some via CSR',
      RequestDeniedError,
      'allow_ip_sans',
    ],
    [
      'a missing name',
      'the common_name field is required, or must be provided in a CSR',
      RequestDeniedError,
      'require_cn=false',
    ],
    ['a key', 'role requires keys of type ec', RequestDeniedError, 'key_type'],
    [
      'a lifetime',
      'cannot satisfy request, as TTL would result in notAfter that is beyond the expiration of the CA certificate',
      RequestDeniedError,
      'leaf_not_after_behavior',
    ],
    ['something new', 'no such thing', RequestDeniedError, 'check what the role allows'],
    ['a role that is not there', 'unknown role: pods', IssuerRefusedError, 'check that the role exists'],
    ['a mount without a CA', 'could not fetch the CA certificate (was one set?): x', IssuerRefusedError, 'has a CA'],
  ])('to a signing with 400, because of %s', async (_what, text, Kind, words) => {
    vault.fail('sign/pods', { status: 400, errors: [text] })
    const submission = issuerWith().submit(request(), never, credentials)
    await expect(submission).rejects.toThrow(Kind)
    await expect(submission).rejects.toThrow(words)
  })

  test('that it is elsewhere, on a host that is not configured, is told with what to add', async () => {
    vault.fail('login', { status: 307, headers: { location: 'https://vault-2.example:8200/v1/auth/kubernetes/login' } })
    const submission = issuerWith().submit(request(), never, credentials)
    await expect(submission).rejects.toThrow(IssuerRefusedError)
    await expect(submission).rejects.toThrow(
      /redirects to https:\/\/vault-2\.example:8200.*add it to the issuer's redirects/,
    )
  })

  test('nothing at all, is tried again later', async () => {
    vault.fail('login', (response) => void response.destroy())
    const submission = issuerWith().submit(request(), never, credentials)
    await expect(submission).rejects.toThrow(IssuerUnavailableError)
    await expect(submission).rejects.toThrow(/^Vault corp at https:.* cannot be reached/)
  })
})
