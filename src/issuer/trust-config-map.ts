/** Where the administrator keeps the trust of a signer. */
export interface TrustConfigMap {
  readonly namespace: string
  readonly name: string
  /** The entry that holds it, as PEM. */
  readonly key: string
}

/** The trust of one signer, as `--signer-trust` names it. */
export interface ConfiguredTrust {
  readonly signerName: string
  readonly configMap: TrustConfigMap
}

const label = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?'
const form = new RegExp(`^([^=/]+/[^=/]+)=(${label})/([a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)(?:/([-._A-Za-z0-9]+))?$`)

/**
 * Reads where the trust of a signer is: `example.com/serving=trust/serving-roots`, with the entry behind a further slash where it is
 * not `ca.crt`.
 *
 * @throws {TypeError} saying what is allowed
 */
export function parseConfiguredTrust(text: string): ConfiguredTrust {
  const [, signerName, namespace, name, key = 'ca.crt'] = form.exec(text) ?? []
  if (signerName === undefined || namespace === undefined || name === undefined) {
    const example = 'example.com/serving=trust/serving-roots or example.com/serving=trust/roots/serving.pem'
    throw new TypeError(`expected SIGNER=NAMESPACE/CONFIGMAP[/KEY], such as ${example}`)
  }
  return { signerName, configMap: { namespace, name, key } }
}
