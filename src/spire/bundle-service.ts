import { Bundle as BundleApi } from '../gen/spire/api/server/bundle/v1/bundle_pb.ts'
import { type Certificate, readCertificate } from '../x509/certificate.ts'
import type { BundleService } from './entry.ts'
import { listPages } from './list-pages.ts'
import type { ServerClient } from './server-client.ts'

const { getBundle, listFederatedBundles } = BundleApi.method

/** The Bundle API of a SPIRE server. */
export function bundleService(client: ServerClient): BundleService {
  return {
    async federatedTrustDomains(signal) {
      const pages = listPages(
        // An empty mask leaves of each bundle the name.
        (page) => client.call(listFederatedBundles, { outputMask: {}, ...page }, { signal, repeatable: true }),
        ({ bundles }) => bundles.map(({ trustDomain }) => trustDomain),
      )
      const names = new Set<string>()
      for await (const page of pages) for (const name of page) names.add(name)
      return names
    },
  }
}

/**
 * The authorities of the server's own trust domain: what verifies each X.509-SVID that it signs. Anybody may ask.
 *
 * @throws {SpireError}
 * @throws {CertificateError} where the server holds one that cannot be read
 */
export async function ownAuthorities(client: ServerClient, signal: AbortSignal): Promise<readonly Certificate[]> {
  const request = { outputMask: { x509Authorities: true } }
  const { x509Authorities } = await client.call(getBundle, request, { signal, repeatable: true })
  return x509Authorities.map(({ asn1 }) => readCertificate(asn1))
}
