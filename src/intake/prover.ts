import type { SiteNorm } from '../adapters/site-norms.ts'
import type { ReadAdapter } from '../adapters/read.ts'
import type { ProbeResult } from '../catalogue/version.ts'
import type { AdapterHost } from '../engine/engine.ts'
import type { NormReader } from '../residency/loader-messages.ts'
import type { MemoryTier } from '../residency/memory-tier.ts'
import type { MergedCheck } from './merged-check.ts'
import { probe } from './probe.ts'
import type { Proof } from './proof.ts'

export interface ProverParts {
  readonly tier: MemoryTier
  readonly host: AdapterHost
  readonly measure: NormReader
  readonly merged: MergedCheck
}

/** Proves that an adapter acts, and as it should, before it is served. */
export class Prover {
  readonly #parts: ProverParts

  constructor(parts: ProverParts) {
    this.#parts = parts
  }

  /**
   * Holds the version while it is probed and while `use` runs on what was found.
   * @throws TroupeError as `probe` and `MergedCheck.check`; `invalid_request` or `overloaded` for the memory
   */
  async prove<T>(
    { weights, description }: ReadAdapter,
    use: (result: ProbeResult, proof: Proof) => Promise<T>,
  ): Promise<T> {
    const { tier, host, measure, merged } = this.#parts
    const load = (): Promise<ReadAdapter['weights']> => Promise.resolve(weights)
    const pin = await tier.pin([{ digest: weights.digest, bytes: weights.bytes, load }])
    try {
      const probed = await probe(host, weights)
      const comparison = merged.check(weights, probed, host.info)
      const [sites, compared]: [readonly SiteNorm[], Proof['merged']] = await Promise.all([
        measure(weights),
        comparison,
      ])
      return await use(probed.result, { parameters: description.parameters, sites, merged: compared })
    } finally {
      pin.release()
    }
  }
}
