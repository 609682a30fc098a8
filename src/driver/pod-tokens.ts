import * as v from 'valibot'
import { kubeletKeys } from '../volume/attributes.ts'

/** How long before its end a token is no longer used, in milliseconds, so that it still holds when it arrives. */
const margin = 10_000

const tokensSchema = v.record(v.string(), v.object({ token: v.string(), expirationTimestamp: v.string() }))

/** The service account tokens of a pod, by audience, as the kubelet sends them with each publish. Kept in memory only. */
export type PodTokens = ReadonlyMap<string, { readonly token: string; readonly expires: number }>

export const noTokens: PodTokens = new Map()

/** Tokens that the kubelet cannot have sent. The message never quotes them. */
export class PodTokensError extends Error {
  override readonly name = 'PodTokensError'
  readonly code = 'POD_TOKENS_INVALID'
}

/**
 * Reads the tokens of a publish: from the CSI secrets (KEP-5538), else from the volume context.
 *
 * A pod author can write the context's key himself, and the kubelet overwrites it only where it delivers there. So once the
 * CSIDriver object says that tokens come as secrets, the context is not looked at.
 *
 * @throws {PodTokensError}
 */
export function readPodTokens(
  secrets: Readonly<Record<string, string>>,
  context: Readonly<Record<string, string>>,
  inSecretsOnly: boolean,
): PodTokens {
  const text = secrets[kubeletKeys.tokens] ?? (inSecretsOnly ? undefined : context[kubeletKeys.tokens])
  if (text === undefined || text === '') return noTokens
  let parsed: v.InferOutput<typeof tokensSchema>
  try {
    parsed = v.parse(tokensSchema, JSON.parse(text))
  } catch {
    throw new PodTokensError(`${kubeletKeys.tokens} is not what a kubelet sends: an object of tokens by audience`)
  }
  const tokens = new Map<string, { readonly token: string; readonly expires: number }>()
  for (const [audience, { token, expirationTimestamp }] of Object.entries(parsed)) {
    const expires = Date.parse(expirationTimestamp)
    if (Number.isNaN(expires)) throw new PodTokensError(`${kubeletKeys.tokens} has no date in expirationTimestamp`)
    tokens.set(audience, { token, expires })
  }
  return tokens
}

/** A token that still holds for a moment, or undefined. */
export function liveToken(tokens: PodTokens, audience: string, now: number): string | undefined {
  const found = tokens.get(audience)
  return found !== undefined && found.expires - margin > now ? found.token : undefined
}
