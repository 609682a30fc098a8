import { backoffDelay } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { MintedSvid } from '../../spire/svid-service.ts'
import { encodePrivateKey } from '../../x509/key.ts'
import type { ServingMaterial } from './serving-material.ts'

export interface MintedCertificateOptions {
  /** Has a certificate signed for a new key. */
  readonly mint: (signal: AbortSignal) => Promise<MintedSvid>
  /** Told of each certificate. Where it throws, the next attempt comes as after a failure. */
  readonly onMinted: (material: ServingMaterial) => Promise<void>
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

const backoff = { first: 500, cap: 60_000 }

/**
 * Keeps a webhook in certificates that SPIRE signs: a new one at half the life of the last. It never gives up, and the last one serves as
 * long as it lasts. Keys stay in memory. Resolves when the signal aborts.
 */
export async function keepMinted(options: MintedCertificateOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, random = Math.random } = options
  let failures = 0
  while (!signal.aborted) {
    const wait = await renew(options, signal).then(
      (untilHalf) => {
        failures = 0
        return untilHalf
      },
      (error: unknown) => {
        failures += 1
        if (!signal.aborted && failures === 1)
          log.warn({ error }, 'SPIRE signs no certificate for the webhook, asked again until it does')
        return backoffDelay(failures, { ...backoff, random })
      },
    )
    await sleep(clock, wait, signal).catch(() => {})
  }
}

/** @returns milliseconds until half of its life is over */
async function renew({ mint, onMinted, clock, log }: MintedCertificateOptions, signal: AbortSignal): Promise<number> {
  const { key, chain } = await mint(signal)
  const certificate = chain.map(({ pem }) => pem).join('')
  await onMinted({ certificate, key: encodePrivateKey(key, 'PKCS8'), clientCas: undefined })
  const [{ notBefore, notAfter }] = chain
  log.info({ notAfter: new Date(notAfter).toISOString() }, 'the webhook serves with a certificate that SPIRE signed')
  const half = notBefore + (notAfter - notBefore) / 2
  return Math.max(backoff.first, half - clock.now())
}
