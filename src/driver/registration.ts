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
}

/** Makes the driver known to the kubelet, in the place of the node-driver-registrar sidecar. */
export interface KubeletRegistration {
  /** Why the kubelet sends no volumes, for people; undefined once it has taken the driver. */
  obstacle(): string | undefined
  /** Takes the driver back from the kubelet. */
  close(): Promise<void>
}

/** Where the kubelet looks for a driver that registers itself. */
export function registrationSocket(directory: string, driverName: string): string {
  return join(directory, `${driverName}-reg.sock`)
}

/**
 * Serves the kubelet's plugin registration (kubelet pluginmanager): it finds the socket in its folder, asks who is there, and
 * tells whether it took the driver.
 *
 * A refusal is no reason to end: the kubelet needs the API server to take a driver, asks again with a growing pause as long as the
 * socket is there (pluginmanager/reconciler), and what pods run with is renewed meanwhile.
 */
export async function registerWithKubelet(
  options: RegistrationOptions,
  signal: AbortSignal,
): Promise<KubeletRegistration> {
  const { directory, driverName, endpoint, clock, log } = options
  let obstacle: string | undefined = 'the kubelet has not registered this driver yet'
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
        const { pluginRegistered, error } = call.request
        obstacle = pluginRegistered ? undefined : `the kubelet does not register this driver: ${error}`
        if (obstacle === undefined) log.info({ driver: driverName }, 'the kubelet has registered the driver')
        else log.error({ driver: driverName }, obstacle)
      },
    }),
  )
  const socket = await UnixServer.listen(registrationSocket(directory, driverName), server, clock, log, signal)
  return {
    obstacle: () => obstacle,
    async close() {
      await socket.close()
      server.forceShutdown()
    },
  }
}
