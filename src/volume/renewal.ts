import { createHash } from 'node:crypto'

/** When a certificate is valid, epoch milliseconds. */
export interface Validity {
  readonly notBefore: number
  readonly notAfter: number
}

/**
 * Decides when a certificate is renewed: `renewBefore` ahead of its end, or after two thirds of its life, spread by up to a
 * tenth of that lead so that volumes published together do not renew together. Where the lead is most of the lifetime, the spread
 * is a tenth of the rest instead: a time before the certificate's own beginning would mean renewing without end.
 *
 * @param certificate - the leaf as issued; its own lifetime counts, not the one asked for
 * @param renewBefore - milliseconds; ignored where it is not shorter than the lifetime
 * @param spread - in [0, 1), the same for a volume's whole life
 * @returns epoch milliseconds
 */
export function renewalTime(certificate: Validity, renewBefore: number | undefined, spread: number): number {
  const lifetime = certificate.notAfter - certificate.notBefore
  const lead = renewBefore !== undefined && renewBefore < lifetime ? renewBefore : lifetime / 3
  return certificate.notAfter - lead - (Math.min(lead, lifetime - lead) / 10) * spread
}

/** The place of a volume in the spread of renewals: the same for its whole life, and even over many volumes. In [0, 1). */
export function renewalSpread(volumeId: string): number {
  return createHash('sha256').update(volumeId).digest().readUInt32BE(0) / 2 ** 32
}
