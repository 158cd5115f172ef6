import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readAdapter } from '../../src/adapters/read.ts'
import type { AdapterWeights } from '../../src/core/branch.ts'
import type { Precision } from '../../src/core/model-info.ts'
import { Engine } from '../../src/engine/engine.ts'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { MergedReference } from '../../src/reference/merged-reference.ts'
import { MergedCheck } from '../../src/intake/merged-check.ts'
import { probe } from '../../src/intake/probe.ts'
import type { MergedResult } from '../../src/intake/proof.ts'

/** A model in an engine, and beside it the reference that its adapters are compared with. */
export class ProbedModel {
  readonly #root: string
  readonly #engine: Engine
  readonly #check: MergedCheck
  readonly #base: CheckpointWeights

  private constructor(root: string, engine: Engine, check: MergedCheck, base: CheckpointWeights) {
    this.#root = root
    this.#engine = engine
    this.#check = check
    this.#base = base
  }

  static async open(modelDir: string, precision: Precision): Promise<ProbedModel> {
    const root = mkdtempSync(join(tmpdir(), 'troupe-probed-'))
    const { dir } = await prepareModel({ modelDir, precision, cacheDir: root })
    const engine = await Engine.start({
      preparedDir: dir,
      device: 'cpu',
      maxBatch: 1,
      maxContext: 64,
      prefillChunk: 16,
      bankBytes: 2 ** 28,
      graphBytes: 1e9,
      prefixCacheBytes: 0,
      speculation: 0,
      threads: 1,
    })
    const check = new MergedCheck(new MergedReference({ preparedDir: dir }))
    return new ProbedModel(root, engine, check, new CheckpointWeights(modelDir))
  }

  read(dir: string): AdapterWeights {
    return readAdapter(dir, this.#engine.info, this.#base).weights
  }

  /**
   * Probes an adapter and compares it with merged weights.
   *
   * @param held what the engine is given in its place, as if it applied the adapter wrongly
   */
  async check(weights: AdapterWeights, held: Omit<AdapterWeights, 'digest'> = weights): Promise<MergedResult> {
    const { digest } = weights
    this.#engine.hold({ ...held, digest })
    try {
      return await this.#check.check(weights, await probe(this.#engine, weights), this.#engine.info)
    } finally {
      this.#engine.drop(digest)
    }
  }

  async close(): Promise<void> {
    await this.#check.close()
    await this.#engine.stop()
    this.#base.close()
    rmSync(this.#root, { recursive: true, force: true })
  }
}
