/** grpc-js 1.14, pick_first: the last error of a connection attempt between its own words. */
const unconnected = /^No connection established\. Last error: (?:Error: )?(.*)\. Resolution note: ?(.*)$/s

/** What a call's status says, without what grpc-js puts around the reason that there is no connection. */
export function plainDetails(details: string): string {
  const [, reason, note] = unconnected.exec(details) ?? []
  if (reason === undefined) return details
  return `no connection: ${reason === 'null' ? (note ?? '') : reason}`
}
