import { X509Certificate } from 'node:crypto'
import type { ClusterAccess } from './cluster.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { baseImage } from './image.ts'
import { execInPod, type Pod } from './pod.ts'

/**
 * A pod that the kubelet itself gives a certificate to, at `/tls/bundle.pem`, with the trust of its signer at `/tls/ca.pem`
 * (projected volumes of KEP-4317 and KEP-3257).
 *
 * @param app - its label `app`
 */
export function podWithCertificate(
  { node }: ClusterAccess,
  { namespace, name }: Pick<Pod, 'namespace' | 'name'>,
  signerName: string,
  app = name,
): object {
  const podCertificate = {
    signerName,
    keyType: 'ECDSAP256',
    maxExpirationSeconds: 3600,
    credentialBundlePath: 'bundle.pem',
  }
  const sources = [{ podCertificate }, { clusterTrustBundle: { signerName, labelSelector: {}, path: 'ca.pem' } }]
  const container = {
    name: 'main',
    image: baseImage.name,
    imagePullPolicy: 'Never',
    volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app } },
    spec: {
      nodeName: node.name,
      terminationGracePeriodSeconds: 1,
      containers: [container],
      volumes: [{ name: 'tls', projected: { sources } }],
    },
  }
}

/** The leaf that such a pod has now. */
export async function readPodCertificate(controlPlane: ControlPlaneAccess, pod: Pod): Promise<X509Certificate> {
  const text = await execInPod(controlPlane, pod, 'cat', '/tls/bundle.pem')
  return new X509Certificate(text.slice(text.indexOf('-----BEGIN CERTIFICATE')))
}
