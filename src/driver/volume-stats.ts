import { create } from '@bufbuild/protobuf'
import { statfs } from 'node:fs/promises'
import {
  type NodeGetVolumeStatsResponse,
  NodeGetVolumeStatsResponseSchema,
  VolumeUsage_Unit,
} from '../gen/csi/v1/csi_pb.ts'
import type { Volume } from './volume.ts'

/**
 * What NodeGetVolumeStats tells of a volume: bytes and inodes of its file system, and whether its certificate holds and can be
 * renewed.
 *
 * @param now - epoch milliseconds
 */
export async function volumeStats(volume: Volume, now: number): Promise<NodeGetVolumeStatsResponse> {
  const found = await statfs(volume.store.data, { bigint: true })
  const { bsize, blocks, bfree, bavail, files, ffree } = found
  return create(NodeGetVolumeStatsResponseSchema, {
    usage: [
      {
        unit: VolumeUsage_Unit.BYTES,
        total: blocks * bsize,
        available: bavail * bsize,
        used: (blocks - bfree) * bsize,
      },
      { unit: VolumeUsage_Unit.INODES, total: files, available: ffree, used: files - ffree },
    ],
    volumeCondition: volumeCondition(volume, now),
  })
}

function volumeCondition(volume: Volume, now: number): { readonly abnormal: boolean; readonly message: string } {
  const { issued, lastError } = volume.report()
  if (issued === undefined) return { abnormal: true, message: lastError ?? 'there is no certificate yet' }
  const end = new Date(issued.notAfter).toISOString()
  if (issued.notAfter <= now)
    return { abnormal: true, message: `the certificate has expired at ${end}: ${lastError ?? ''}` }
  if (lastError !== undefined)
    return { abnormal: true, message: `renewal fails, the certificate expires at ${end}: ${lastError}` }
  return { abnormal: false, message: `the certificate holds until ${end}` }
}
