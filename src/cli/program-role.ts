/**
 * The arguments with a role at their front. A DaemonSet of the Go csi-driver starts the image with flags alone, and they are the driver's;
 * only the old registrar had a flag `-config`, whose flags begin with one dash as those of Go programs do.
 */
export function withRole(args: readonly string[]): string[] {
  const [first = ''] = args
  if (first === 'registrar') return args.map(withTwoDashes)
  if (/^-config(?:=|$)/.test(first)) return ['registrar', ...args.map(withTwoDashes)]
  const own = ['-h', '--help', '-V', '--version']
  return first.startsWith('-') && !own.includes(first) ? ['driver', ...args] : [...args]
}

function withTwoDashes(argument: string): string {
  return /^-(?:config|version)(?:=|$)/.test(argument) ? `-${argument}` : argument
}
