import type { Log } from '../../runtime/log.ts'
import { formatTime } from '../../x509/chain.ts'
import { type CaMaterial, describeCa, readSigningCa, type SigningCa, SigningCaError } from './signing-ca.ts'

/** How many CAs are kept beside the newest: a rotation that is followed by another must not lose the one that still signs. */
const mostFormer = 2

/**
 * The CAs of a signer: the one that its source holds now, and those before it, for as long as the trust in the new one is on its way.
 * What cannot be used never takes the place of what can.
 */
export class CaShelf {
  readonly #log: Log
  /** The newest first. */
  #cas: readonly SigningCa[] = []
  #problem: string | undefined = 'the CA was not read yet'

  constructor(log: Log) {
    this.#log = log
  }

  /** The newest first; those before it may sign as long as it may not. */
  get cas(): readonly SigningCa[] {
    return this.#cas
  }

  /** What is wrong with what the source holds now, for people; undefined where it is in use. */
  get problem(): string | undefined {
    return this.#problem
  }

  /**
   * Takes what the source holds now.
   *
   * @param now - epoch milliseconds
   * @returns whether there is a new CA
   */
  offer(material: CaMaterial, now: number): boolean {
    let ca: SigningCa
    try {
      ca = readSigningCa(material, now)
    } catch (error) {
      if (!(error instanceof SigningCaError)) throw error
      this.miss(error.message)
      return false
    }
    this.#problem = undefined
    const [newest] = this.#cas
    if (newest !== undefined && isSame(newest, ca)) return false
    const former = this.#cas.filter((one) => !isSame(one, ca) && one.notAfter > now).slice(0, mostFormer)
    this.#cas = [ca, ...former]
    this.#log.info({ ca: describeCa(ca), root: ca.root.fingerprint }, 'a CA is there')
    return true
  }

  /** The source holds nothing that could be read; what is in use stays in use. */
  miss(why: string): void {
    if (this.#problem !== why)
      this.#log.error({ why }, 'the CA cannot be used; the last good one, if there is one, stays in use')
    this.#problem = why
  }

  /** Forgets the CAs that a signature of this one makes needless: all before it. */
  keepFrom(ca: SigningCa): void {
    const index = this.#cas.indexOf(ca)
    if (index >= 0) this.#cas = this.#cas.slice(0, index + 1)
  }
}

function isSame(one: SigningCa, other: SigningCa): boolean {
  const path = ({ authority, intermediates, root }: SigningCa): string =>
    [authority.certificate, ...intermediates, root].map(({ fingerprint }) => fingerprint).join()
  return path(one) === path(other)
}

/** Which CA is to sign now, or why none may. */
export type CaChoice = { readonly is: 'ca'; readonly ca: SigningCa } | { readonly is: 'none'; readonly why: string }

/**
 * Chooses the newest CA whose root is published long enough.
 *
 * @param cas - the newest first
 * @param maySignFrom - epoch milliseconds for a CA's root; undefined where it is not published
 * @param end - until when the CA has to hold at least, epoch milliseconds
 */
export function chooseCa(
  cas: readonly SigningCa[],
  maySignFrom: (ca: SigningCa) => number | undefined,
  end: number,
  now: number,
): CaChoice {
  let why: string | undefined
  for (const ca of cas) {
    const from = maySignFrom(ca)
    if (from === undefined) why ??= `the trust in ${describeCa(ca)} is not published yet`
    else if (from > now) why ??= `the trust in ${describeCa(ca)} is on its way until ${formatTime(from)}`
    else if (ca.notAfter < end) why ??= `${describeCa(ca)}, ends before ${formatTime(end)}`
    else if (ca.authority.certificate.notBefore > now) why ??= `${describeCa(ca)}, does not hold yet`
    else return { is: 'ca', ca }
  }
  return { is: 'none', why: why ?? 'there is no CA' }
}
