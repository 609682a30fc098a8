import { Claim } from './claim.ts'

/** 198.18.0.0/15 is set apart for tests of networks (RFC 2544, RFC 6890), so no route of the machine goes there. */
const networks = Array.from({ length: 512 }, (_, index) => `198.${18 + (index >> 8)}.${index & 255}.0/24`)

/** A network for the pods of one node, which no other test run on this machine uses while the claim is held. */
export async function claimPodNetwork(): Promise<{ readonly subnet: string; readonly claim: Claim }> {
  for (const subnet of networks) {
    const claim = await Claim.take(`pod-network/${subnet}`)
    if (claim) return { subnet, claim }
  }
  throw new Error(`all ${networks.length} pod networks are in use`)
}
