import type { MessageInitShape } from '@bufbuild/protobuf'
import type {
  Entry as EntryMessage,
  EntryMaskSchema,
  EntrySchema,
  SPIFFEID,
  SPIFFEIDSchema,
} from '../gen/spire/api/types/types_pb.ts'
import type { Entry, EntryField, EntrySpec } from './entry.ts'

/** What is read of an entry. Without a mask, a third more would come over the wire. */
export const readFields: MessageInitShape<typeof EntryMaskSchema> = {
  spiffeId: true,
  parentId: true,
  selectors: true,
  dnsNames: true,
  federatesWith: true,
  downstream: true,
  admin: true,
  revisionNumber: true,
}

/** The entry as the server gave it under {@link readFields}. */
export function readEntry(message: EntryMessage): Entry {
  return {
    id: message.id,
    spiffeId: readId(message.spiffeId),
    parentId: readId(message.parentId),
    selectors: message.selectors.map(({ type, value }) => ({ type, value })),
    dnsNames: message.dnsNames,
    federatesWith: message.federatesWith,
    downstream: message.downstream,
    revision: message.revisionNumber,
    admin: message.admin,
  }
}

/** The entry as the server takes it. What a registrar does not decide has its zero value, which creates the server's default. */
export function writeEntry(entry: EntrySpec & { readonly id: string }): MessageInitShape<typeof EntrySchema> {
  return {
    id: entry.id,
    spiffeId: writeId(entry.spiffeId),
    parentId: writeId(entry.parentId),
    selectors: entry.selectors.map(({ type, value }) => ({ type, value })),
    dnsNames: [...entry.dnsNames],
    federatesWith: [...entry.federatesWith],
    downstream: entry.downstream,
  }
}

/** The mask under which an update writes these fields only. */
export function writeFields(fields: readonly EntryField[]): MessageInitShape<typeof EntryMaskSchema> {
  return Object.fromEntries(fields.map((field) => [field, true]))
}

const scheme = 'spiffe://'

/** @returns such as `spiffe://example.org/ns/shop/sa/web` */
export function readId(id: SPIFFEID | undefined): string {
  return id === undefined ? '' : `${scheme}${id.trustDomain}${id.path}`
}

/** What is no SPIFFE ID becomes a trust domain that no server has: it refuses that item, and says so. */
export function writeId(id: string): MessageInitShape<typeof SPIFFEIDSchema> {
  const rest = id.startsWith(scheme) ? id.slice(scheme.length) : id
  const slash = rest.indexOf('/')
  return slash < 0 ? { trustDomain: rest, path: '' } : { trustDomain: rest.slice(0, slash), path: rest.slice(slash) }
}
