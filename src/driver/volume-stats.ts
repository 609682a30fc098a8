import { create } from '@bufbuild/protobuf'
import { statfs } from 'node:fs/promises'
import {
  type NodeGetVolumeStatsResponse,
  NodeGetVolumeStatsResponseSchema,
  VolumeUsage_Unit,
} from '../gen/csi/v1/csi_pb.ts'
import type { Volume } from './volume.ts'
import { memoryText } from './volume-memory.ts'

/**
 * What NodeGetVolumeStats tells of a volume: bytes and inodes of its file system, and whether its certificate holds and can be
 * renewed.
 *
 * @param now - epoch milliseconds
 */
export async function volumeStats(volume: Volume, now: number): Promise<NodeGetVolumeStatsResponse> {
  const isThere = await volume.store.isThere()
  // Without the private memory, the target still shows what the pod sees.
  const found = await statfs(isThere ? volume.store.data : volume.target, { bigint: true })
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
    volumeCondition: isThere ? volumeCondition(volume, now) : { abnormal: true, message: memoryGone },
  })
}

/** It is not mounted anew for a look; the next publish or renewal does that. */
const memoryGone = "the volume's private memory was unmounted by somebody; the next publish or renewal mends that"

function volumeCondition(volume: Volume, now: number): { readonly abnormal: boolean; readonly message: string } {
  const { issued, lastError, detached } = volume.report()
  if (issued === undefined) return { abnormal: true, message: lastError ?? 'there is no certificate yet' }
  const end = new Date(issued.notAfter).toISOString()
  if (issued.notAfter <= now)
    return { abnormal: true, message: `the certificate has expired at ${end}: ${lastError ?? ''}` }
  if (detached) return { abnormal: true, message: memoryText('lost') }
  if (lastError !== undefined)
    return { abnormal: true, message: `renewal fails, the certificate expires at ${end}: ${lastError}` }
  return { abnormal: false, message: `the certificate holds until ${end}` }
}
