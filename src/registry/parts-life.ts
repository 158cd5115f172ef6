import { TroupeError } from '../core/errors.ts'
import { bringIn } from './adapter-upkeep.ts'
import type { RegistryOptions, RegistryParts } from './assembly.ts'
import { assembleRegistry } from './assembly.ts'
import { FilesystemStore } from './store/filesystem.ts'

/**
 * Opens the store folder (made if missing) and reads what is in it. No weights are waited for; what tasks route to begins to load.
 *
 * @throws TroupeError `storage_error`, `invalid_config`
 */
export async function openParts(options: RegistryOptions): Promise<RegistryParts> {
  const parts = assembleRegistry(options, await FilesystemStore.open(options.storeDir))
  await parts.watch.scan()
  const { error } = parts.follower
  if (error !== null) throw new TroupeError('storage_error', error, { param: options.storeDir })
  bringIn(parts, [...parts.tasks.all.values()])
  parts.watch.start()
  return parts
}

/** Throws if the books of memory, leases and catalogue do not agree. */
export function checkBooks({ tier, leases, draining }: RegistryParts): void {
  tier.checkIntegrity()
  leases.checkIntegrity()
  for (const { digest } of draining.records()) {
    if (tier.uses(digest) === 0) throw new Error(`${digest} is draining though nobody uses it`)
  }
}

/** Stops what runs by itself, then lets what was begun come to its end. */
export async function closeParts(parts: RegistryParts): Promise<void> {
  parts.deadlines.stop()
  await parts.watch.stop()
  await parts.intake.idle()
  await parts.pins.stop()
  await parts.prefetch.settled()
  await parts.changes.idle()
  await parts.draining.settled()
  await parts.loader?.close()
  await parts.merged.close()
  await parts.store.close()
}
