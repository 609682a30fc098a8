import { create } from '@bufbuild/protobuf'
import { Server } from '@grpc/grpc-js'
import { join } from 'node:path'
import { PluginInfoSchema, Registration, RegistrationStatusResponseSchema } from '../gen/pluginregistration/api_pb.ts'
import type { Clock } from '../runtime/clock.ts'
import { implementation, serviceDefinition } from '../runtime/grpc-service.ts'
import type { Log } from '../runtime/log.ts'
import { UnixServer } from '../runtime/unix-server.ts'

export interface RegistrationOptions {
  /** The kubelet's plugins_registry folder. */
  readonly directory: string
  readonly driverName: string
  /** The CSI socket as the kubelet sees it. */
  readonly endpoint: string
  readonly clock: Clock
  readonly log: Log
  /** Told why the kubelet does not want this driver; without it no volume is ever published, so the process should end. */
  readonly onRefused: (reason: string) => void
}

/** Makes the driver known to the kubelet, in the place of the node-driver-registrar sidecar. */
export interface KubeletRegistration {
  /** Takes the driver back from the kubelet. */
  close(): Promise<void>
}

/**
 * Serves the kubelet's plugin registration (kubelet pluginmanager): it finds the socket in its folder, asks who is there, and
 * tells whether it took the driver.
 */
export async function registerWithKubelet(
  options: RegistrationOptions,
  signal: AbortSignal,
): Promise<KubeletRegistration> {
  const { directory, driverName, endpoint, clock, log, onRefused } = options
  const server = new Server()
  server.addService(
    serviceDefinition(Registration),
    implementation<typeof Registration>({
      getInfo: (_call, answer) =>
        answer(
          null,
          create(PluginInfoSchema, { type: 'CSIPlugin', name: driverName, endpoint, supportedVersions: ['1.0.0'] }),
        ),
      notifyRegistrationStatus: (call, answer) => {
        answer(null, create(RegistrationStatusResponseSchema))
        if (call.request.pluginRegistered) log.info({ driver: driverName }, 'the kubelet has registered the driver')
        else onRefused(call.request.error)
      },
    }),
  )
  const socket = await UnixServer.listen(join(directory, `${driverName}-reg.sock`), server, clock, log, signal)
  return {
    async close() {
      await socket.close()
      server.forceShutdown()
    },
  }
}
