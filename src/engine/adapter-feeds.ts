import { LRUCache } from 'lru-cache'
import { Tensor } from 'onnxruntime-node'
import type { ResidualKind, SiteKind } from '../core/branch.ts'
import { RESIDUAL_KINDS } from '../core/branch.ts'
import type { GenerationRequest } from '../core/generation.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { siteCount, siteDims } from '../core/model-info.ts'
import type { GainKind, GraphSpec } from '../model/graph/spec.ts'
import { BASE_SPEC, IO, hasBias, specKey, specKinds, specUnion } from '../model/graph/spec.ts'
import type { Bank } from './bank.ts'
import type { Segment } from './bank-kind.ts'
import type { GraphSession, GraphSessions } from './graph-sessions.ts'
import type { PackedAdapter } from './packed-adapter.ts'
import { gainChannels } from './packed-adapter.ts'

type Feeds = Record<string, Tensor>

/** What a row of the batch runs with. */
export type RowMix = Pick<GenerationRequest, 'mix' | 'stack'>

/** A graph and the adapter inputs with which it runs a batch. */
export interface AdapterFeeds {
  readonly graph: GraphSession
  readonly feeds: Readonly<Feeds>
}

/** Batches whose feeds are kept: decode steps and the prompts between them repeat theirs. */
const KEPT = 8

/** Stands for the vectors of a call without any: the embedding times one, plus zero. */
const NO_VECTORS: Feeds = {
  [IO.keep]: new Tensor('float32', Float32Array.of(1), [1, 1, 1]),
  [IO.vectors]: new Tensor('float32', Float32Array.of(0), [1, 1, 1]),
}

/** Chooses the graph for a batch of mixes and points its adapter inputs into the bank. */
export class AdapterFeeder {
  readonly #info: ModelInfo
  readonly #bank: Bank
  readonly #graphs: GraphSessions
  readonly #adapters: ReadonlyMap<string, PackedAdapter>
  readonly #kept = new LRUCache<string, AdapterFeeds>({ max: KEPT })
  #keptFor = ''

  constructor(info: ModelInfo, bank: Bank, graphs: GraphSessions, adapters: ReadonlyMap<string, PackedAdapter>) {
    this.#info = info
    this.#bank = bank
    this.#graphs = graphs
    this.#adapters = adapters
  }

  /** What a graph must have to run a row; the versions of its mix must be known. */
  specOf({ mix, stack }: RowMix): GraphSpec {
    const adapters = mix.map(({ digest }) => this.#adapters.get(digest)!)
    const depth = stack ? Math.max(1, adapters.filter(isStackable).length) : 1
    return adapters.reduce((spec, adapter) => specUnion(spec, adapter.spec), { ...BASE_SPEC, depth })
  }

  /**
   * @param rows every digest of their mixes is pinned in the bank
   * @param least what the graph must have besides
   */
  feedsFor(rows: readonly RowMix[], least: GraphSpec = BASE_SPEC): AdapterFeeds {
    if (least === BASE_SPEC && rows.every(({ mix }) => mix.length === 0)) return { graph: this.#graphs.base, feeds: {} }
    const state = `${this.#bank.generation}/${this.#graphs.generation}`
    if (this.#keptFor !== state) {
      this.#kept.clear()
      this.#keptFor = state
    }
    const key = [specKey(least), ...rows.map(rowKey)].join('|')
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    const needed = rows.reduce((spec, row) => specUnion(spec, this.specOf(row)), least)
    const graph = this.#graphs.covering(needed)
    const feeds: Feeds = graph.spec.vectors ? { ...NO_VECTORS } : {}
    for (const kind of specKinds(graph.spec)) this.#addKind(feeds, graph.spec, kind, rows)
    for (const kind of graph.spec.gains) this.#addGain(feeds, kind, rows)
    const answer = { graph, feeds }
    this.#kept.set(key, answer)
    return answer
  }

  /** Weights and masks of one site kind, over the range of the stack that this batch uses: none at all is a range of zero rows. */
  #addKind(feeds: Feeds, spec: GraphSpec, kind: SiteKind, rows: readonly RowMix[]): void {
    const stack = this.#bank.kind(kind)
    const digests = new Set(rows.flatMap(({ mix }) => mix.map(({ digest }) => digest)))
    const used = stack?.segments().filter(({ digest }) => digests.has(digest)) ?? []
    const start = used[0]?.start ?? 0
    const last = used[used.length - 1]
    const end = last === undefined ? start : last.start + last.rows
    const rank = end - start
    const [inDim, outDim] = siteDims(this.#info, kind)
    const empty = new Float32Array(0)
    for (let layer = 0; layer < siteCount(this.#info, kind); layer++) {
      const weights = rank > 0 ? stack!.rows(layer, start, end) : { down: empty, up: empty, bias: empty }
      feeds[IO.down(layer, kind)] = new Tensor('float32', weights.down, [rank, inDim])
      feeds[IO.up(layer, kind)] = new Tensor('float32', weights.up, [rank, outDim])
      if (hasBias(spec, kind)) feeds[IO.bias(layer, kind)] = new Tensor('float32', weights.bias, [rank])
    }
    const mask = (wanted: Wanted): Tensor =>
      new Tensor('float32', this.#maskOf(rows, used, start, rank, wanted), [rows.length, 1, rank])
    if (!isResidual(kind)) {
      feeds[IO.mask(kind)] = mask(() => true)
      return
    }
    for (const phi of spec.activations)
      for (let level = 0; level < spec.depth; level++)
        feeds[IO.activationMask(kind, phi, level)] = mask(
          (segment, row, at) => at === level && segment.activations[row] === phi,
        )
  }

  #addGain(feeds: Feeds, kind: GainKind, rows: readonly RowMix[]): void {
    const table = this.#bank.gains(kind)
    const channels = gainChannels(this.#info, kind)
    const ones = table === undefined ? new Float32Array(channels).fill(1) : null
    for (let layer = 0; layer < this.#info.layers; layer++)
      feeds[IO.gain(layer, kind)] = new Tensor('float32', ones ?? table!.table(layer), [table?.rows ?? 1, channels])
    const chosen = rows.map(({ mix }) => mix.map(({ digest }) => table?.row(digest) ?? 0).find((row) => row > 0) ?? 0)
    feeds[IO.gainRow(kind)] = new Tensor('int64', BigInt64Array.from(chosen, BigInt), [rows.length, 1])
  }

  /** `[rows, rank]`: the scale of every stack row in every batch row that uses it. */
  #maskOf(
    rows: readonly RowMix[],
    used: readonly Segment[],
    start: number,
    rank: number,
    wanted: Wanted,
  ): Float32Array {
    const mask = new Float32Array(rows.length * rank)
    for (const [batchRow, { mix, stack }] of rows.entries()) {
      let level = 0
      for (const { digest, scale } of mix) {
        const segment = used.find((candidate) => candidate.digest === digest)
        if (segment !== undefined) {
          const offset = batchRow * rank + segment.start - start
          for (let row = 0; row < segment.rows; row++) if (wanted(segment, row, level)) mask[offset + row] = scale
        }
        if (stack && isStackable(this.#adapters.get(digest)!)) level++
      }
    }
    return mask
  }
}

/** Whether a stack row counts in a mask, for a module on that level of its mix's stack. */
type Wanted = (segment: Segment, row: number, level: number) => boolean

function isResidual(kind: SiteKind): kind is ResidualKind {
  return (RESIDUAL_KINDS as readonly SiteKind[]).includes(kind)
}

/** Whether a version takes a level of its own in a stack. */
function isStackable({ spec }: PackedAdapter): boolean {
  return spec.residual.length > 0
}

function rowKey({ mix, stack }: RowMix): string {
  return mix.map(({ digest, scale }) => `${digest}*${scale}`).join(stack ? '>' : '+')
}
