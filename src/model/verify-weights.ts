import { createHash } from 'node:crypto'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { PreparedModel } from './prepared.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from './prepared.ts'

const PIECE_BYTES = 1 << 22
/** Between two pieces: a disk and a core have other things to do. */
const PAUSE_MS = 2

/**
 * Compares the bytes of a prepared model with the digests that were taken when it was written. A damaged model is set aside, so that the next
 * start prepares it anew; what runs now has its file mapped and cannot be mended.
 *
 * @returns names of the tensors that differ
 */
export async function verifyWeights({ dir, manifest }: PreparedModel, signal: AbortSignal): Promise<string[]> {
  const damaged: string[] = []
  const piece = Buffer.alloc(PIECE_BYTES)
  const file = await open(join(dir, WEIGHTS_FILE), 'r')
  try {
    for (const [name, { offset, bytes }] of Object.entries(manifest.tensors)) {
      const hash = createHash('sha256')
      for (let done = 0; done < bytes;) {
        if (signal.aborted) return damaged
        const { bytesRead } = await file.read(piece, 0, Math.min(PIECE_BYTES, bytes - done), offset + done)
        if (bytesRead === 0) break
        hash.update(piece.subarray(0, bytesRead))
        done += bytesRead
        await pause(PAUSE_MS)
      }
      if (`sha256:${hash.digest('hex')}` !== manifest.digests[name]) damaged.push(name)
    }
  } finally {
    await file.close()
  }
  if (damaged.length > 0) await rename(join(dir, MANIFEST_FILE), join(dir, `${MANIFEST_FILE}.damaged`))
  return damaged
}
