import { expect, test } from 'vitest'
import { grpcStatus, statusName } from './grpc-status.ts'

test('a status is told by its name, or by its number where gRPC has none', () => {
  expect(statusName(grpcStatus.PERMISSION_DENIED)).toBe('PERMISSION_DENIED')
  expect(statusName(99)).toBe('status 99')
})
