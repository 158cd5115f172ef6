import type { BaseWeights, WeightRows } from '../core/base-weights.ts'
import type { EdgeKind, LinearKind } from '../core/branch.ts'
import { isEdgeKind } from '../core/branch.ts'
import type { Architecture } from './architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { openCheckpoint } from './checkpoint.ts'
import { checkCoverage } from './coverage.ts'
import { readArchitecture } from './families/families.ts'
import { LinearRows } from './linear-rows.ts'
import { packedWeights } from './packed/packed-weights.ts'

/** The weights of a model folder. It is opened when they are first asked for, as few adapters need them, and stays open. */
export class CheckpointWeights implements BaseWeights {
  readonly #dir: string
  #open: { readonly checkpoint: Checkpoint; readonly architecture: Architecture; readonly rows: LinearRows } | null =
    null

  /** @param dir Hugging Face model folder */
  constructor(dir: string) {
    this.#dir = dir
  }

  rows(layer: number, kind: LinearKind | EdgeKind): WeightRows {
    const { rows, architecture } = (this.#open ??= this.#openFolder())
    if (!isEdgeKind(kind)) return rows.part(layer, kind)
    const { names, tiedHead, vocab, hidden } = architecture
    return rows.matrix(kind === 'embed_tokens' || tiedHead ? names.embed : names.head, vocab, hidden, 1)
  }

  tiedHead(): boolean {
    return (this.#open ??= this.#openFolder()).architecture.tiedHead
  }

  close(): void {
    this.#open?.checkpoint.close()
    this.#open = null
  }

  #openFolder(): { checkpoint: Checkpoint; architecture: Architecture; rows: LinearRows } {
    const checkpoint = openCheckpoint(this.#dir)
    const architecture = readArchitecture(checkpoint.config)
    const packed = packedWeights(checkpoint, architecture.modules)
    checkCoverage(checkpoint, architecture, packed)
    const rows = new LinearRows(architecture, packed, (name, into, start) => void checkpoint.readF32(name, into, start))
    return { checkpoint, architecture, rows }
  }
}
