import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AnswerRefusedError, IssuanceError } from '../issuer/errors.ts'
import type { IssuedCertificate, Issuer, IssuerReference, PodCredentials, RequestHandle } from '../issuer/issuer.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { VolumeSpec } from '../volume/spec.ts'
import type { Issued, Pending, VolumeStore } from '../volume/store.ts'
import { readTrust } from '../volume/trust-files.ts'
import { checkAnswer } from '../x509/answer.ts'
import { createCertificateRequest } from '../x509/certificate-request.ts'
import { decodePrivateKey, type KeyGenerator, keySpecOf } from '../x509/key.ts'
import { requestExtensions } from '../x509/request-extensions.ts'
import type { ReadTrusted } from '../x509/trusted-certificates.ts'
import { type DriverMetrics, timed } from './metrics.ts'

/** What an issuance needs of the node. */
export interface IssuanceSurroundings {
  readonly clock: Clock
  readonly keys: KeyGenerator
  readonly metrics: DriverMetrics
  readonly issuerFor: (reference: IssuerReference) => Issuer
  /** 128 random bits as 32 hexadecimal digits. */
  readonly newRequestId: () => string
  readonly readTrusted: ReadTrusted
  /** Refuses answers that only deserve a warning. */
  readonly strictIssuer: boolean
}

/** What an issuance needs of its volume. */
export interface IssuanceSubject {
  readonly id: string
  readonly spec: VolumeSpec
  readonly store: VolumeStore
  readonly log: Log
  readonly credentials: PodCredentials
  /** Whether there is a certificate already, whose key may be kept. */
  readonly reuseKey: boolean
  /** Told the id of the request that is on its way, before the issuer hears of it. */
  readonly onRequest: (requestId: string) => void
  /** Told of a request that was refused for good. It is left with the issuer until the next one, for people to look at. */
  readonly onRefused: (handle: RequestHandle) => void
}

/** A certificate that was looked at and fits its request. */
export interface Obtained {
  readonly key: KeyObject
  readonly answer: IssuedCertificate
  readonly issued: Issued
  /** What differs from the request without making it unusable. */
  readonly warnings: readonly string[]
}

/**
 * The straight part of a certificate's way: key → request → submit → wait → check. A request that is stored from before a crash,
 * or from an attempt that could not reach the issuer, is taken up again with its key.
 *
 * @param progress - told, for people, how far it is
 * @throws {IssuanceError} and, where it is final, leaves no request behind to be resumed
 */
export async function obtainCertificate(
  volume: IssuanceSubject,
  around: IssuanceSurroundings,
  signal: AbortSignal,
  progress: (state: string) => void,
): Promise<Obtained> {
  const pending = (await resumable(volume)) ?? (await prepare(volume, around, signal))
  volume.onRequest(pending.request.id)
  const issuer = around.issuerFor(volume.spec.issuer)
  let { handle } = pending
  try {
    handle = await timed(around.metrics, 'submit', () =>
      issuer.submit(pending.request, signal, volume.credentials, pending.handle),
    )
    if (JSON.stringify(handle) !== JSON.stringify(pending.handle))
      await volume.store.writeHandle(pending.request, handle)
    const { name } = handle
    progress(`${name} is submitted`)
    const submitted = handle
    const given = await timed(around.metrics, 'wait', () =>
      issuer.wait(submitted, signal, (state) => progress(`${name}: ${state}`)),
    )
    const answer = await withKnownTrust(given, issuer, volume)
    return await timed(around.metrics, 'check', () => check(volume, around, pending.key, submitted, answer))
  } catch (error) {
    // What stands for good must not be resumed; the next attempt makes a new request.
    if (!signal.aborted && error instanceof IssuanceError && error.final) {
      await volume.store.clearPending()
      if (handle !== undefined) volume.onRefused(handle)
    }
    throw error
  }
}

async function resumable({ store, log }: IssuanceSubject): Promise<Pending | undefined> {
  try {
    return await store.readPending()
  } catch (error) {
    log.warn({ error }, 'a stored request cannot be read; a new one is made')
    await store.clearPending()
    return undefined
  }
}

async function prepare(volume: IssuanceSubject, around: IssuanceSurroundings, signal: AbortSignal): Promise<Pending> {
  const { pod, issuer, subject, names, usages, isCA, duration, annotations, key: asked, request: options } = volume.spec
  const { metrics } = around
  const key =
    (await reusableKey(volume)) ?? (await timed(metrics, 'key', () => around.keys.generate(asked.spec, signal)))
  const pending = await timed(metrics, 'request', async () => {
    const extensions = requestExtensions({ ...options, usages, isCA })
    const csr = createCertificateRequest(key, { subject, names, extensions }, options.signatureAlgorithm)
    const id = around.newRequestId()
    const request = { id, volumeId: volume.id, pod, issuer, csr, usages: [...usages], isCA, duration, annotations }
    const made: Pending = { request, key, handle: undefined }
    await volume.store.writePending(made)
    return made
  })
  metrics.requests.inc()
  return pending
}

/** The key that the volume has, where its author wants to keep it and it is still of the kind that is asked for. */
async function reusableKey({ spec, store, log, reuseKey }: IssuanceSubject): Promise<KeyObject | undefined> {
  if (!spec.key.reuse || !reuseKey) return undefined
  try {
    const key = decodePrivateKey(await readFile(join(store.data, spec.files.privateKey), 'utf8'))
    return JSON.stringify(keySpecOf(key)) === JSON.stringify(spec.key.spec) ? key : undefined
  } catch (error) {
    log.warn({ error }, 'the private key cannot be reused; a new one is made')
    return undefined
  }
}

/**
 * Keeps the trust that a volume has, where an issuer that tells of it apart from certificates cannot tell at the moment: a renewal must
 * not empty the CA file of a running pod.
 */
async function withKnownTrust(
  answer: IssuedCertificate,
  issuer: Issuer,
  { store, spec }: IssuanceSubject,
): Promise<IssuedCertificate> {
  if (issuer.trust === undefined || answer.ca !== undefined) return answer
  return { ...answer, ca: await readTrust(store.data, spec) }
}

function check(
  { spec }: IssuanceSubject,
  around: IssuanceSurroundings,
  key: KeyObject,
  handle: RequestHandle,
  answer: IssuedCertificate,
): Obtained {
  const { names, commonName, usages, isCA, duration } = spec
  const asked = { key, names, commonName, usages, isCA, duration }
  const { leaf, problems, warnings } = checkAnswer(answer, asked, around.clock.now(), around.readTrusted)
  const refused = around.strictIssuer ? [...problems, ...warnings] : problems
  if (leaf === undefined || refused.length > 0) throw new AnswerRefusedError(handle.name, refused)
  const { notBefore, notAfter, serial } = leaf
  return { key, answer, issued: { notBefore, notAfter, serial, handle }, warnings }
}
