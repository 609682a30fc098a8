import { status } from '@grpc/grpc-js'

/** gRPC's status codes as plain numbers, as messages carry them, rather than as values of an enum of grpc-js. */
export const grpcStatus: Readonly<Record<keyof typeof status, number>> = status

/** @returns such as `PERMISSION_DENIED`, or the number of a status that gRPC does not name */
export function statusName(code: number): string {
  return status[code] ?? `status ${code}`
}
