import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { open, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { PreparedModel } from './prepared.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from './prepared.ts'

const PIECE_BYTES = 1 << 20
/** A few hundredths of a core and of the memory's bandwidth: steps go on as if nothing was. */
export const BYTES_PER_SECOND = 64 * 2 ** 20

/** What a look at the weights needs of the prepared model. */
export interface VerifiedModel {
  readonly dir: string
  readonly manifest: Pick<PreparedModel['manifest'], 'tensors' | 'digests'>
}

/**
 * Compares the bytes of a prepared model with the digests that were taken when it was written. A damaged model is set aside, so that the next
 * start prepares it anew; what runs now has its file mapped and cannot be mended.
 *
 * @param onBytes called with the bytes that were compared since the last call
 * @param bytesPerSecond how fast it reads, at most
 * @returns names of the tensors that differ
 */
export async function verifyWeights(
  { dir, manifest }: VerifiedModel,
  onBytes: (bytes: number) => void = () => undefined,
  bytesPerSecond = BYTES_PER_SECOND,
): Promise<string[]> {
  const damaged: string[] = []
  const piece = Buffer.alloc(PIECE_BYTES)
  const file = await open(join(dir, WEIGHTS_FILE), 'r')
  const began = performance.now()
  let done = 0
  try {
    for (const [name, { offset, bytes }] of Object.entries(manifest.tensors)) {
      const hash = createHash('sha256')
      for (let start = 0; start < bytes;) {
        const { bytesRead } = await file.read(piece, 0, Math.min(PIECE_BYTES, bytes - start), offset + start)
        if (bytesRead === 0) break
        hash.update(piece.subarray(0, bytesRead))
        start += bytesRead
        done += bytesRead
        onBytes(bytesRead)
        const early = (done / bytesPerSecond) * 1000 - (performance.now() - began)
        if (early > 1) await pause(early)
      }
      if (`sha256:${hash.digest('hex')}` !== manifest.digests[name]) damaged.push(name)
    }
    if (damaged.length > 0) await setAside(dir, file)
  } finally {
    await file.close()
  }
  return damaged
}

/** Takes the manifest away from the file that was read, unless another server did so or has prepared the model anew already. */
async function setAside(dir: string, file: FileHandle): Promise<void> {
  const [read, present] = await Promise.all([file.stat(), stat(join(dir, WEIGHTS_FILE)).catch(() => null)])
  if (present === null || present.ino !== read.ino) return
  await rename(join(dir, MANIFEST_FILE), join(dir, `${MANIFEST_FILE}.damaged`)).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  })
}
