import { setTimeout as delay } from 'node:timers/promises'
import type { AdapterWeights } from '../core/branch.ts'
import type { AdapterHost } from '../engine/engine.ts'

/** How long a load waits for the engine, which answers between two runs. Behind a long run new memory is sooner there. */
const PATIENCE_MS = 5

/**
 * The memory of a version that the host was told to drop, as soon as nobody can read it any more. To fill memory that is there already is
 * several times quicker than to have the system find as much anew.
 *
 * @param weights the caller and the host were the only ones to have them
 * @returns null if the host does not answer soon
 */
export async function freedMemory(
  weights: AdapterWeights,
  host: Pick<AdapterHost, 'residents'>,
): Promise<SharedArrayBuffer | null> {
  // Messages are handled in order: who answers this has dropped it.
  const bank = await Promise.race([host.residents?.().catch(() => null), delay(PATIENCE_MS, null)])
  if (!bank || bank.residents.some(({ digest }) => digest === weights.digest)) return null
  const memory = bufferOf(weights)
  return memory instanceof SharedArrayBuffer && memory.byteLength === weights.bytes ? memory : null
}

function bufferOf({ branches, gains, virtualTokens }: AdapterWeights): ArrayBufferLike | undefined {
  const virtual = virtualTokens?.type === 'embeddings' ? virtualTokens : virtualTokens?.layers[0]
  return (branches[0]?.down ?? gains[0]?.values ?? virtual?.values)?.buffer
}
