import { parseIpAddress } from '../../x509/ip-address.ts'

/** A block of addresses (RFC 4632). */
export interface IpRange {
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array
  /** Bits that count. */
  readonly prefix: number
}

/**
 * @param text - such as `10.96.0.0/12`, `2001:db8::/32` or one address
 * @returns undefined where it is none, or where bits behind the prefix are set
 */
export function parseIpRange(text: string): IpRange | undefined {
  const [address = '', length, ...rest] = text.split('/')
  const bytes = parseIpAddress(address)
  if (bytes === undefined || rest.length > 0) return undefined
  const bits = bytes.length * 8
  if (length === undefined) return { bytes, prefix: bits }
  // ::ffff:0:0/96 would become four bytes with a prefix of 96.
  if (!/^(?:0|[1-9]\d{0,2})$/.test(length) || address.includes(':') !== (bytes.length === 16)) return undefined
  const prefix = Number(length)
  const range = { bytes, prefix }
  return prefix <= bits && bytes.every((byte, index) => (byte & ~maskByte(range, index)) === 0) ? range : undefined
}

/** Whether an address lies in a block. IPv4 and IPv6 never meet. */
export function inRange(range: IpRange, address: string): boolean {
  const bytes = parseIpAddress(address)
  if (bytes?.length !== range.bytes.length) return false
  return bytes.every((byte, index) => (byte & maskByte(range, index)) === range.bytes[index])
}

function maskByte({ prefix }: IpRange, index: number): number {
  const bits = Math.min(Math.max(prefix - index * 8, 0), 8)
  return (0xff << (8 - bits)) & 0xff
}
