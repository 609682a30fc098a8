import { IssuerRefusedError } from './errors.ts'
import type { Issuer } from './issuer.ts'

/** The group of the issuers that the driver asks itself, without cert-manager: the administrator names them in a file. */
export const ownGroup = 'podpass.io'

/**
 * Stands for an issuer that is not configured: every request is refused until it is. What it may once have issued stays.
 *
 * @param reason - for people, with what to do
 */
export function unknownIssuer(reason: () => string): Issuer {
  const refuse = async (): Promise<never> => {
    throw new IssuerRefusedError(reason())
  }
  return { submit: refuse, wait: refuse, discard: async () => {} }
}
