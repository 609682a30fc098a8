import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { ClusterAccess } from './cluster.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { baseImage } from './image.ts'
import { apply, kubectl } from './kubectl.ts'
import { execOnNode, kubeletRoot, type NodeAccess } from './node.ts'

/** A pod to run: one container. */
export interface PodSpec {
  readonly namespace: string
  readonly name: string
  /** What its container runs. @default it sleeps */
  readonly command?: readonly string[]
  /** CSI volumes, each mounted at `/NAME`: a name to the driver and its attributes. */
  readonly volumes?: Readonly<Record<string, CsiVolume>>
  /** Beside `app`, its name. */
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** @default the namespace's account `default` */
  readonly serviceAccount?: string
  /** Whom its container runs as. @default root, in its own group alone */
  readonly securityContext?: PodSecurityContext
}

/** Part of a pod's `securityContext`. */
export interface PodSecurityContext {
  readonly runAsUser?: number
  readonly runAsGroup?: number
  readonly fsGroup?: number
  readonly supplementalGroups?: readonly number[]
}

/** An inline CSI volume of a pod. */
export interface CsiVolume {
  readonly driver: string
  readonly attributes: Readonly<Record<string, string>>
  /** What the volume's `readOnly` says. @default it is left out */
  readonly readOnly?: boolean
  /** The name of a Secret whose contents the kubelet hands to the driver. */
  readonly secret?: string
}

/** A pod that the API server has accepted. */
export interface Pod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** Where a pod is put. Its node need be no more than an object. */
export interface PodPlace extends Pick<ClusterAccess, 'controlPlane'> {
  readonly node: Pick<NodeAccess, 'name'>
}

/** Creates a pod on the cluster's node. It may never run. */
export async function createPod({ controlPlane, node }: PodPlace, spec: PodSpec): Promise<Pod> {
  const { namespace, name, securityContext, serviceAccount, labels, annotations = {} } = spec
  const volumes = Object.entries(spec.volumes ?? {})
  await apply(controlPlane, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app: name, ...labels }, annotations },
    spec: {
      nodeName: node.name,
      ...(securityContext && { securityContext }),
      ...(serviceAccount && { serviceAccountName: serviceAccount }),
      // A first process gets no default action for SIGTERM (pid_namespaces(7)), so waiting longer for a sleep is in vain.
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: baseImage.name,
          imagePullPolicy: 'Never',
          ...(spec.command && { command: spec.command }),
          volumeMounts: volumes.map(([volume]) => ({ name: volume, mountPath: `/${volume}` })),
        },
      ],
      volumes: volumes.map(([volume, { driver, attributes, readOnly, secret }]) => ({
        name: volume,
        csi: {
          driver,
          volumeAttributes: attributes,
          ...(readOnly !== undefined && { readOnly }),
          ...(secret !== undefined && { nodePublishSecretRef: { name: secret } }),
        },
      })),
    },
  })
  const uid = await kubectl(controlPlane, ['get', 'pod', name, '-n', namespace, '-o', 'jsonpath={.metadata.uid}'])
  return { namespace, name, uid }
}

/** The id that the kubelet gives to an inline volume of a pod (csi_mounter.go, makeVolumeHandle). */
export function volumeIdOf(pod: Pod, volume: string): string {
  return `csi-${createHash('sha256').update(`${pod.uid}${volume}`).digest('hex')}`
}

/** Where an inline volume of a pod is mounted on its node. */
export function targetOf(pod: Pod, volume: string): string {
  return join(kubeletRoot, 'pods', pod.uid, 'volumes/kubernetes.io~csi', volume, 'mount')
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

/** The id by which the node knows the one container of a pod that runs. */
export async function containerOf(controlPlane: ControlPlaneAccess, { namespace, name }: Pod): Promise<string> {
  const path = 'jsonpath={.status.containerStatuses[0].containerID}'
  const id = await kubectl(controlPlane, ['get', 'pod', name, '-n', namespace, '-o', path])
  return id.replace('containerd://', '')
}

/** Runs a command in a container, by way of containerd alone. @returns its standard output */
export function execInContainer(node: NodeAccess, container: string, ...command: readonly string[]): Promise<string> {
  return execOnNode(node, ...ctr, 'tasks', 'exec', '--exec-id', randomUUID(), container, ...command)
}

/** The ids of the containers that run on a node, the pods' sandboxes among them. */
export async function runningContainers(node: NodeAccess): Promise<readonly string[]> {
  return (await execOnNode(node, ...ctr, 'tasks', 'list', '--quiet')).trim().split('\n')
}

/** Ends a container as a crash does. */
export async function killContainer(node: NodeAccess, container: string): Promise<void> {
  await execOnNode(node, ...ctr, 'tasks', 'kill', '--signal', 'SIGKILL', container)
}

const ctr = ['ctr', '--namespace', 'k8s.io'] as const
