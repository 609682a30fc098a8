import { createHash } from 'node:crypto'

/** When a certificate is valid, epoch milliseconds. */
export interface Validity {
  readonly notBefore: number
  readonly notAfter: number
}

/** How much of its life a certificate has left when it is renewed. */
export type RenewalLead =
  | { readonly is: 'time'; readonly milliseconds: number }
  | { readonly is: 'share'; readonly percent: number }

/**
 * Decides when a certificate is renewed: its lead ahead of its end, or after two thirds of its life, spread by up to a tenth of that
 * lead so that volumes published together do not renew together. Where the lead is most of the lifetime, the spread is a tenth of
 * the rest instead: a time before the certificate's own beginning would mean renewing without end.
 *
 * @param certificate - the leaf as issued; its own lifetime counts, not the one asked for
 * @param lead - ignored where it is not shorter than the lifetime
 * @param spread - in [0, 1), the same for a volume's whole life
 * @returns epoch milliseconds
 */
export function renewalTime(certificate: Validity, lead: RenewalLead | undefined, spread: number): number {
  const lifetime = certificate.notAfter - certificate.notBefore
  const left = renewalLead(certificate, lead)
  return certificate.notAfter - left - (Math.min(left, lifetime - left) / 10) * spread
}

/** How long before its end a certificate is renewed, in milliseconds, without the spread. Parameters as of {@link renewalTime}. */
export function renewalLead({ notBefore, notAfter }: Validity, lead: RenewalLead | undefined): number {
  const lifetime = notAfter - notBefore
  const asked = lead?.is === 'share' ? (lifetime * lead.percent) / 100 : lead?.milliseconds
  return asked !== undefined && asked < lifetime ? asked : lifetime / 3
}

/** The place of a volume in the spread of renewals: the same for its whole life, and even over many volumes. In [0, 1). */
export function renewalSpread(volumeId: string): number {
  return createHash('sha256').update(volumeId).digest().readUInt32BE(0) / 2 ** 32
}
