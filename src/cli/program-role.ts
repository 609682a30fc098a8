/** A DaemonSet of the Go csi-driver starts the image with flags alone, and they are the driver's. */
export function withRole(args: readonly string[]): string[] {
  const first = args[0]
  const own = ['-h', '--help', '-V', '--version']
  return first !== undefined && first.startsWith('-') && !own.includes(first) ? ['driver', ...args] : [...args]
}
