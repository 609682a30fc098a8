/** The longest path of a Unix socket, in bytes (unix(7): sun_path, less its final zero). Node cuts a longer one off without a word. */
export const longestSocketPath = 107

/** A socket that cannot be served, or not be reached. */
export class SocketError extends Error {
  override readonly name = 'SocketError'
  readonly code = 'SOCKET_UNUSABLE'
}

/**
 * What is wrong with the path of a socket, for people; undefined where nothing is.
 *
 * @param spare - bytes that are needed besides, for a name that the socket is made under
 */
export function socketPathProblem(path: string, spare = 0): string | undefined {
  const length = Buffer.byteLength(path)
  const longest = longestSocketPath - spare
  if (length <= longest) return undefined
  return `socket path ${path} has ${length} bytes, and Linux allows ${longest} here: choose a shorter folder`
}

/** @throws {SocketError} where the path is too long */
export function checkSocketPath(path: string, spare = 0): void {
  const problem = socketPathProblem(path, spare)
  if (problem !== undefined) throw new SocketError(problem)
}
