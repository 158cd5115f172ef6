import type { RegistryParts } from './assembly.ts'

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
