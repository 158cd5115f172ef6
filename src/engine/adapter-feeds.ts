import { LRUCache } from 'lru-cache'
import { Tensor } from 'onnxruntime-node'
import type { LinearKind, MixEntry, ResidualKind } from '../core/branch.ts'
import { isLinearKind } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { siteDims } from '../core/model-info.ts'
import type { GraphSpec } from '../model/graph/spec.ts'
import { BASE_SPEC, IO, specKinds, specUnion } from '../model/graph/spec.ts'
import type { Bank } from './bank.ts'
import type { Segment } from './bank-kind.ts'
import type { GraphSession, GraphSessions } from './graph-sessions.ts'
import type { PackedAdapter } from './packed-adapter.ts'

type Feeds = Record<string, Tensor>
type Mix = readonly MixEntry[]

/** A graph and the adapter inputs with which it runs a batch. */
export interface AdapterFeeds {
  readonly graph: GraphSession
  readonly feeds: Readonly<Feeds>
}

/** Batches whose feeds are kept: decode steps and the prompts between them repeat theirs. */
const KEPT = 8

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

  /** @param mixes one per row; every digest is pinned in the bank */
  feedsFor(mixes: readonly Mix[]): AdapterFeeds {
    const digests = new Set(mixes.flatMap((mix) => mix.map(({ digest }) => digest)))
    if (digests.size === 0) return { graph: this.#graphs.base, feeds: {} }
    const state = `${this.#bank.generation}/${this.#graphs.generation}`
    if (this.#keptFor !== state) {
      this.#kept.clear()
      this.#keptFor = state
    }
    const key = mixes.map(mixKey).join('|')
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    const needed = [...digests].reduce((spec, digest) => specUnion(spec, this.#adapters.get(digest)!.spec), BASE_SPEC)
    const graph = this.#graphs.covering(needed)
    const feeds: Feeds = {}
    for (const kind of specKinds(graph.spec)) this.#addKind(feeds, graph.spec, kind, mixes, digests)
    const answer = { graph, feeds }
    this.#kept.set(key, answer)
    return answer
  }

  /** Weights and masks of one site kind, over the range of the stack that this batch uses: none at all is a range of zero rows. */
  #addKind(
    feeds: Feeds,
    spec: GraphSpec,
    kind: LinearKind | ResidualKind,
    mixes: readonly Mix[],
    digests: ReadonlySet<string>,
  ): void {
    const stack = this.#bank.kind(kind)
    const used = stack?.segments().filter(({ digest }) => digests.has(digest)) ?? []
    const start = used[0]?.start ?? 0
    const last = used[used.length - 1]
    const end = last === undefined ? start : last.start + last.rows
    const rank = end - start
    const [inDim, outDim] = siteDims(this.#info, kind)
    const empty = new Float32Array(0)
    for (let layer = 0; layer < this.#info.layers; layer++) {
      const rows = rank > 0 ? stack!.rows(layer, start, end) : { down: empty, up: empty, bias: empty }
      feeds[IO.down(layer, kind)] = new Tensor('float32', rows.down, [rank, inDim])
      feeds[IO.up(layer, kind)] = new Tensor('float32', rows.up, [rank, outDim])
      if (!isLinearKind(kind)) feeds[IO.bias(layer, kind)] = new Tensor('float32', rows.bias, [rank])
    }
    const dims = [mixes.length, 1, rank]
    if (isLinearKind(kind)) {
      feeds[IO.mask(kind)] = new Tensor('float32', maskOf(mixes, used, start, rank), dims)
      return
    }
    for (const phi of spec.activations) {
      const mask = maskOf(mixes, used, start, rank, (segment, row) => segment.activations[row] === phi)
      feeds[IO.activationMask(kind, phi)] = new Tensor('float32', mask, dims)
    }
  }
}

function mixKey(mix: Mix): string {
  return mix.map(({ digest, scale }) => `${digest}*${scale}`).join('+')
}

/** `[rows, rank]`: the scale of every stack row in every batch row that uses it. */
function maskOf(
  mixes: readonly Mix[],
  used: readonly Segment[],
  start: number,
  rank: number,
  wanted: (segment: Segment, row: number) => boolean = () => true,
): Float32Array {
  const mask = new Float32Array(mixes.length * rank)
  for (const [batchRow, mix] of mixes.entries())
    for (const { digest, scale } of mix) {
      const segment = used.find((candidate) => candidate.digest === digest)
      if (segment === undefined) continue
      const offset = batchRow * rank + segment.start - start
      for (let row = 0; row < segment.rows; row++) if (wanted(segment, row)) mask[offset + row] = scale
    }
  return mask
}
