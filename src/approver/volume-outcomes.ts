import { kubeletKeys } from '../volume/attributes.ts'
import { parseVolumeSpec, standardDefaults } from '../volume/spec.ts'
import type { ClaimedVolume } from './claimed-volume.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import type { AskedCertificate } from './request/asked-certificate.ts'
import { askedNames, formatName, listNames } from './request/asked-names.ts'
import { askedSigner, formatSigner, type RequestObject } from './request/request-object.ts'

/** Attributes whose values only the driver has, such as passwords from Secrets. They shape files, never the request. */
const fileAttributes = /^csi\.cert-manager\.io\/(?:keystore-)?(?:pkcs12|jks)-/

/**
 * Whether a driver's request is the one that the volume's own attributes ask for: the same signer and no name that they do not say.
 * So a node's driver gives a pod no more than its author wrote, even where the driver is not to be trusted.
 */
export function volumeOutcomes(
  { pod, volume }: ClaimedVolume,
  request: RequestObject,
  asked: AskedCertificate | undefined,
): RuleOutcome[] {
  const shown = `volume ${volume.name}`
  const { name = '', namespace = '', uid = '' } = pod.metadata
  const written = Object.entries(volume.csi?.volumeAttributes ?? {}).filter(([key]) => !fileAttributes.test(key))
  const reading = parseVolumeSpec(
    {
      ...Object.fromEntries(written),
      [kubeletKeys.podName]: name,
      [kubeletKeys.podNamespace]: namespace,
      [kubeletKeys.podUid]: uid,
      [kubeletKeys.serviceAccount]: pod.spec?.serviceAccountName ?? 'default',
      [kubeletKeys.ephemeral]: 'true',
    },
    { ...standardDefaults, ...(pod.spec?.nodeName !== undefined && { nodeName: pod.spec.nodeName }) },
  )
  if (!reading.ok) return [failed('volume.attributes', 'extrinsic', shown, 'its attributes cannot be read')]
  const { issuer, subject, names } = reading.spec
  const wanted = issuer.group === 'certificates.k8s.io' ? issuer.name : formatSigner({ issuer })
  const signer = formatSigner(askedSigner(request))
  if (wanted !== signer)
    return [failed('volume.attributes', 'extrinsic', signer, `${shown} names the issuer ${wanted}`)]
  const allowed = askedNames({ subject, names })
  const extra =
    asked === undefined ? [] : listNames(asked.names).filter(({ kind, name }) => !allowed[kind].includes(name))
  if (extra.length > 0) {
    const value = extra.map(({ kind, name }) => formatName(kind, name)).join(', ')
    return [failed('volume.attributes', 'extrinsic', value, `${shown} does not ask for it`)]
  }
  return [passed('volume.attributes', signer, `${shown} asks for this signer and these names`, { nature: 'extrinsic' })]
}
