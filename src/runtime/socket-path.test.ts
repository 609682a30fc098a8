import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkSocketPath, longestSocketPath, SocketError, socketPathProblem } from './socket-path.ts'

test('a path is counted in bytes, and what must fit beside it is taken off', () => {
  expect(socketPathProblem('x'.repeat(107))).toBeUndefined()
  expect(socketPathProblem('x'.repeat(102), 5)).toBeUndefined()
  expect(socketPathProblem('é'.repeat(53))).toBeUndefined()
  const long = `/${'é'.repeat(54)}`
  expect(socketPathProblem(long)).toBe(
    `socket path ${long} has 109 bytes, and Linux allows 107 here: choose a shorter folder`,
  )
  expect(socketPathProblem('x'.repeat(103), 5)).toContain('has 103 bytes, and Linux allows 102 here')
  expect(() => checkSocketPath(long)).toThrow(SocketError)
  expect(() => checkSocketPath('/run/a.sock')).not.toThrow()
})

test('no path that Linux would cut off passes', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 120, unit: 'binary' }), (path) => {
      expect(socketPathProblem(path) === undefined).toBe(Buffer.byteLength(path) <= longestSocketPath)
    }),
  )
})
