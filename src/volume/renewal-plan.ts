import { renewalLead, type RenewalLead, renewalTime, type Validity } from './renewal.ts'
import { moveIntoWindow, type RenewalWindow } from './renewal-windows.ts'

/** How a volume's author wants its certificates renewed. */
export interface RenewalRules {
  /** Undefined for a third of the lifetime. */
  readonly before: RenewalLead | undefined
  /** Empty where any time is right. */
  readonly windows: readonly RenewalWindow[]
}

export interface RenewalPlan {
  /** Epoch milliseconds. */
  readonly at: number
  /** What the volume's author should know, for people. */
  readonly warning: string | undefined
}

/**
 * Decides when a certificate that has just come is renewed: at {@link renewalTime}, moved into a window where there are some. A tenth
 * of what it has left when it comes is kept in any case, and a tenth of its lead before it ends: an issuer that dates certificates
 * back, or a window that is open right now, must not make a loop of it, and a window must not come so late that one failure ends it.
 *
 * @param certificate - the leaf as issued
 * @param spread - in [0, 1), the same for a volume's whole life
 * @param now - epoch milliseconds
 */
export function planRenewal(certificate: Validity, rules: RenewalRules, spread: number, now: number): RenewalPlan {
  const { notAfter } = certificate
  const soonest = now + (notAfter - now) / 10
  const wanted = Math.max(renewalTime(certificate, rules.before, spread), soonest)
  // What has ended already waits for no window.
  if (rules.windows.length === 0 || now >= notAfter) return { at: wanted, warning: undefined }
  const room = renewalLead(certificate, rules.before) / 10
  const latest = notAfter - Math.min(room, (notAfter - now) / 10)
  const at = moveIntoWindow(rules.windows, wanted, { soonest, latest }, room, spread)
  if (at !== undefined) return { at, warning: undefined }
  const [from, until, outside] = [soonest, latest, wanted].map((time) => new Date(time).toISOString())
  const warning =
    `no renewal window opens from ${from} until ${until}, so the certificate is renewed outside of them, at ${outside}; ` +
    'windows that open once in three quarters of its lifetime always fit'
  return { at: wanted, warning }
}
