import type { ClusterAccess } from './cluster.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { baseImage } from './image.ts'
import { apply, kubectl } from './kubectl.ts'

/** A pod to run: one container that sleeps. */
export interface PodSpec {
  readonly namespace: string
  readonly name: string
  /** CSI volumes, each mounted at `/NAME`: a name to the driver and its attributes. */
  readonly volumes?: Readonly<Record<string, CsiVolume>>
}

/** An inline CSI volume of a pod. */
export interface CsiVolume {
  readonly driver: string
  readonly attributes: Readonly<Record<string, string>>
}

/** A pod that the API server has accepted. */
export interface Pod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** Creates a pod on the cluster's node. It may never run. */
export async function createPod({ controlPlane, node }: ClusterAccess, spec: PodSpec): Promise<Pod> {
  const { namespace, name } = spec
  const volumes = Object.entries(spec.volumes ?? {})
  await apply(controlPlane, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app: name } },
    spec: {
      nodeName: node.name,
      // A first process gets no default action for SIGTERM (pid_namespaces(7)), so waiting longer for a sleep is in vain.
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: baseImage.name,
          imagePullPolicy: 'Never',
          volumeMounts: volumes.map(([volume]) => ({ name: volume, mountPath: `/${volume}` })),
        },
      ],
      volumes: volumes.map(([volume, { driver, attributes }]) => ({
        name: volume,
        csi: { driver, volumeAttributes: attributes },
      })),
    },
  })
  const uid = await kubectl(controlPlane, ['get', 'pod', name, '-n', namespace, '-o', 'jsonpath={.metadata.uid}'])
  return { namespace, name, uid }
}

/** Creates a pod and waits until its container runs. */
export async function runPod(cluster: ClusterAccess, spec: PodSpec): Promise<Pod> {
  const pod = await createPod(cluster, spec)
  const { controlPlane } = cluster
  const wait = ['wait', 'pod', pod.name, '-n', pod.namespace, '--for=condition=Ready', '--timeout=120s']
  await kubectl(controlPlane, wait).catch(async (error: unknown) => {
    const events = await kubectl(controlPlane, ['describe', 'pod', pod.name, '-n', pod.namespace])
    throw new Error(`pod ${pod.namespace}/${pod.name} does not run:\n${events}`, { cause: error })
  })
  return pod
}

/** Deletes a pod, if it is there, and waits until the kubelet has taken it down. */
export async function deletePod(controlPlane: ControlPlaneAccess, pod: Omit<Pod, 'uid'>): Promise<void> {
  await kubectl(controlPlane, ['delete', 'pod', pod.name, '-n', pod.namespace, '--ignore-not-found', '--timeout=120s'])
}

/** Runs a command in a pod's container, by way of the API server and the kubelet. @returns its standard output */
export function execInPod(controlPlane: ControlPlaneAccess, pod: Pod, ...command: readonly string[]): Promise<string> {
  return kubectl(controlPlane, ['exec', '-n', pod.namespace, pod.name, '--', ...command])
}
