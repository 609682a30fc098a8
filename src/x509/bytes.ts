/**
 * The same bytes as a Buffer, not copied.
 *
 * `Buffer.from` of a text or of an array takes small pieces out of a slab of 64 KiB. Under the V8 flags that the driver ships
 * with, slabs outlive their pieces by thousands of issuances: they grow old in scavenges, and full collections hardly ever come.
 * So code that runs for each certificate decodes with Uint8Array's own methods, and views with this.
 */
export function bufferView(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

const encoder = new TextEncoder()

/** @returns UTF-8 */
export function utf8Bytes(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text)
}
