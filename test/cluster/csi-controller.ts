import { create } from '@bufbuild/protobuf'
import { Server, status } from '@grpc/grpc-js'
import { createHash } from 'node:crypto'
import { GetPluginCapabilitiesResponseSchema, Identity } from '../../src/gen/csi/v1/csi_pb.ts'
import { GetPluginInfoResponseSchema, ProbeResponseSchema } from '../../src/gen/csi/v1/csi_pb.ts'
import { implementation, serviceDefinition } from '../../src/runtime/grpc-service.ts'
import {
  Controller,
  ControllerGetCapabilitiesResponseSchema,
  ControllerServiceCapability_RPC_Type,
  CreateVolumeResponseSchema,
  DeleteVolumeResponseSchema,
} from '../gen/csi/v1/controller_pb.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { listenUnix } from './grpc-socket.ts'
import { baseImage } from './image.ts'
import { apply, kubectl } from './kubectl.ts'

export interface CsiControllerOptions {
  readonly controlPlane: ControlPlaneAccess
  /** The path to serve on. */
  readonly socket: string
  /** Where volumes' pods are made. */
  readonly namespace: string
  /** What a pod's author would write. */
  readonly attributes: Readonly<Record<string, string>>
}

/**
 * A CSI controller for tests of the node plugin alone: the volume it creates is that of a pod made for it, which is never
 * scheduled, and its context is what a kubelet would send for that pod. The pod is real because certificate requests belong to
 * it, and requests of a pod that is not there are garbage collected.
 */
export class CsiController {
  readonly #options: CsiControllerOptions
  readonly #server = new Server()
  /** Names of pods, by volume id. */
  readonly #pods = new Map<string, string>()

  private constructor(options: CsiControllerOptions) {
    this.#options = options
  }

  static async start(options: CsiControllerOptions): Promise<CsiController> {
    const controller = new CsiController(options)
    controller.#serve()
    await listenUnix(controller.#server, options.socket)
    return controller
  }

  close(): void {
    this.#server.forceShutdown()
  }

  #serve(): void {
    const rpc = { type: ControllerServiceCapability_RPC_Type.CREATE_DELETE_VOLUME }
    const capabilities = [{ type: { case: 'rpc', value: rpc } }] as const
    this.#server.addService(
      serviceDefinition(Controller),
      implementation<typeof Controller>({
        controllerGetCapabilities: (_call, answer) =>
          answer(null, create(ControllerGetCapabilitiesResponseSchema, { capabilities: [...capabilities] })),
        createVolume: (call, answer) => {
          this.#createVolume(call.request.name).then(
            (volume) => answer(null, create(CreateVolumeResponseSchema, { volume })),
            (error: unknown) => answer({ code: status.INTERNAL, details: String(error) }),
          )
        },
        deleteVolume: (call, answer) => {
          this.#deleteVolume(call.request.volumeId).then(
            () => answer(null, create(DeleteVolumeResponseSchema)),
            (error: unknown) => answer({ code: status.INTERNAL, details: String(error) }),
          )
        },
      }),
    )
    this.#server.addService(
      serviceDefinition(Identity),
      implementation<typeof Identity>({
        getPluginInfo: (_call, answer) =>
          answer(null, create(GetPluginInfoResponseSchema, { name: 'controller.podpass.test', vendorVersion: '1' })),
        getPluginCapabilities: (_call, answer) => answer(null, create(GetPluginCapabilitiesResponseSchema)),
        probe: (_call, answer) => answer(null, create(ProbeResponseSchema, { ready: true })),
      }),
    )
  }

  async #createVolume(name: string) {
    const { controlPlane, namespace, attributes } = this.#options
    const digest = createHash('sha256').update(name).digest('hex')
    const pod = `sanity-${digest.slice(0, 16)}`
    await apply(controlPlane, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: pod },
      spec: { containers: [{ name: 'main', image: baseImage.name, imagePullPolicy: 'Never' }] },
    })
    const uid = await kubectl(controlPlane, ['get', 'pod', pod, '-n', namespace, '-o', 'jsonpath={.metadata.uid}'])
    const volumeId = `csi-${digest}`
    this.#pods.set(volumeId, pod)
    return {
      volumeId,
      volumeContext: {
        ...attributes,
        'csi.storage.k8s.io/pod.name': pod,
        'csi.storage.k8s.io/pod.namespace': namespace,
        'csi.storage.k8s.io/pod.uid': uid,
        'csi.storage.k8s.io/serviceAccount.name': 'default',
        'csi.storage.k8s.io/ephemeral': 'true',
      },
    }
  }

  /** Deleting what is not there is a success (CSI spec, DeleteVolume). */
  async #deleteVolume(volumeId: string): Promise<void> {
    const { controlPlane, namespace } = this.#options
    const pod = this.#pods.get(volumeId)
    if (pod === undefined) return
    await kubectl(controlPlane, ['delete', 'pod', pod, '-n', namespace, '--ignore-not-found', '--timeout=60s'])
    this.#pods.delete(volumeId)
  }
}
