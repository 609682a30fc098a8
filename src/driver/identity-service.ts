import { create } from '@bufbuild/protobuf'
import {
  GetPluginCapabilitiesResponseSchema,
  GetPluginInfoResponseSchema,
  type Identity,
  ProbeResponseSchema,
} from '../gen/csi/v1/csi_pb.ts'
import type { ServiceMethods } from '../runtime/grpc-service.ts'

/**
 * The CSI identity service. It needs neither the API server nor an issuer, so the driver is known to be alive without them.
 *
 * @param version - of this program
 */
export function identityService(driverName: string, version: string): ServiceMethods<typeof Identity> {
  return {
    getPluginInfo: (_call, answer) =>
      answer(null, create(GetPluginInfoResponseSchema, { name: driverName, vendorVersion: version })),
    getPluginCapabilities: (_call, answer) => answer(null, create(GetPluginCapabilitiesResponseSchema)),
    probe: (_call, answer) => answer(null, create(ProbeResponseSchema, { ready: true })),
  }
}
