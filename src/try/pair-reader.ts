import type { Clock } from '../runtime/clock.ts'
import { readCertificates } from '../x509/certificate.ts'
import { decodePrivateKey, keyMatches } from '../x509/key.ts'
import type { VolumeSpec } from '../volume/spec.ts'
import { type Credentials, readCredentials } from './pod-view.ts'

/** A volume that is read over and over. */
export interface WatchedVolume {
  readonly target: string
  readonly spec: VolumeSpec
}

/** What the reader has met so far. */
export interface Readings {
  /** How many times key and certificate were read together. */
  readonly reads: number
  /** How many of them did not belong together. */
  readonly mixed: number
}

/** A certificate that a reader sees for the first time. */
export interface Sighting<Volume extends WatchedVolume> {
  readonly volume: Volume
  readonly credentials: Credentials
  /** Epoch milliseconds. */
  readonly seenAt: number
}

/** How long the reader rests between two rounds, in milliseconds, so that it leaves the machine to the others. */
const rest = 2

/** A pod that reads its key and its certificate all the time, and looks each time whether they belong together. */
export class PairReader<Volume extends WatchedVolume> {
  readonly #volumes: readonly Volume[]
  readonly #clock: Clock
  readonly #onSighting: (sighting: Sighting<Volume>) => void
  readonly #ending = new AbortController()
  readonly #seen = new Map<Volume, Credentials>()
  readonly #work: Promise<void>
  #reads = 0
  #mixed = 0

  /** @param onSighting - told of every certificate that is new to a volume, the first one included */
  constructor(volumes: readonly Volume[], clock: Clock, onSighting: (sighting: Sighting<Volume>) => void) {
    this.#volumes = volumes
    this.#clock = clock
    this.#onSighting = onSighting
    this.#work = this.#run()
    this.failure = this.#work.then(() => new Promise<never>(() => {}))
    this.failure.catch(() => {})
  }

  get readings(): Readings {
    return { reads: this.#reads, mixed: this.#mixed }
  }

  /** Rejects with what stopped the reader, if anything but `close` did; never resolves. */
  readonly failure: Promise<never>

  /** Returns once the reader is at rest. */
  async close(): Promise<void> {
    this.#ending.abort()
    await this.#work.catch(() => {})
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      for (const volume of this.#volumes) await this.#read(volume)
      await new Promise<void>((resolve) => void this.#clock.timer(rest, resolve))
    }
  }

  async #read(volume: Volume): Promise<void> {
    const credentials = await readCredentials(volume.target, volume.spec).catch((error: NodeJS.ErrnoException) => {
      // The generation that `..data` named was replaced before its files were opened: the next look finds the new one.
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (credentials === undefined) return
    this.#reads++
    const before = this.#seen.get(volume)
    if (before?.certificate === credentials.certificate && before.privateKey === credentials.privateKey) return
    if (belongTogether(credentials)) {
      const isNew = before?.certificate !== credentials.certificate
      this.#seen.set(volume, credentials)
      if (isNew) this.#onSighting({ volume, credentials, seenAt: this.#clock.now() })
    } else {
      this.#mixed++
    }
  }
}

function belongTogether({ certificate, privateKey }: Credentials): boolean {
  const [leaf] = readCertificates(certificate)
  return leaf !== undefined && keyMatches(decodePrivateKey(privateKey), leaf)
}
