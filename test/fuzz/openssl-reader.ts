import { execFile } from 'node:child_process'
import { spawnSync } from 'node:child_process'

/** What openssl prints of a request. */
export interface OpensslAnswer {
  /** Whether it takes the signature. */
  readonly verifies: boolean
  /** In the order of the encoding, separated by `,` and `+`, special characters escaped (RFC 2253). */
  readonly subject: string
  /** Such as `DNS:a.example`, in the order of the encoding. */
  readonly names: readonly string[]
  /** openssl's own names, such as `Digital Signature`. */
  readonly bits: readonly string[]
  readonly purposes: readonly string[]
  readonly isCA: boolean
  /** Names of all extensions. */
  readonly extensions: readonly string[]
}

const nameOptions = 'esc_2253,esc_ctrl,utf8,sep_comma_plus,sname'

/** Whether there is an openssl of a version whose output is known; a fresh machine may lack it. */
export function hasOpenssl(): boolean {
  return /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout ?? '')
}

/**
 * Lets openssl read a request.
 *
 * @param request - PEM or DER
 */
export async function askOpenssl(request: Uint8Array): Promise<OpensslAnswer> {
  const form = request[0] === 0x30 ? 'DER' : 'PEM'
  const args = ['req', '-inform', form, '-noout', '-verify', '-text', '-nameopt', nameOptions]
  const asked = Promise.withResolvers<{ readonly out: string; readonly said: string }>()
  const child = execFile('openssl', args, { encoding: 'utf8' }, (_error, out, said) => asked.resolve({ out, said }))
  child.stdin?.on('error', () => {
    // It ended before it had read everything; what it says of it counts.
  })
  child.stdin?.end(request)
  const { out, said } = await asked.promise
  const lines = out.split('\n')
  const below = (title: string): string => {
    const at = lines.findIndex((line) => line.trimStart().startsWith(`X509v3 ${title}:`))
    return at < 0 ? '' : (lines[at + 1] ?? '').trim()
  }
  return {
    verifies: said.includes('verify OK'),
    subject: lines.find((line) => line.startsWith('        Subject: '))?.slice('        Subject: '.length) ?? '',
    names: below('Subject Alternative Name')
      .split(/, (?=(?:DNS|IP Address|URI|email|othername|DirName|Registered ID|X400Name|EdiPartyName):)/)
      .filter(isSome),
    bits: below('Key Usage').split(', ').filter(isSome),
    purposes: below('Extended Key Usage').split(', ').filter(isSome),
    isCA: below('Basic Constraints').includes('CA:TRUE'),
    extensions: lines.flatMap((line) => /^ {12}(X509v3 [^:]+|[0-9.]+): ?(?:critical)?$/.exec(line)?.[1] ?? []),
  }
}

function isSome(text: string): boolean {
  return text !== ''
}
