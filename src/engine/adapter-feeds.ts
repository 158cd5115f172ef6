import { LRUCache } from 'lru-cache'
import { Tensor } from 'onnxruntime-node'
import type { SiteKind } from '../core/branch.ts'
import { isEdgeKind } from '../core/branch.ts'
import type { GenerationRequest } from '../core/generation.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { GainKind, GraphSpec } from '../model/graph/spec.ts'
import { BASE_SPEC, IO, specKey, specKinds, specSize, specUnion } from '../model/graph/spec.ts'
import type { Bank } from './bank.ts'
import { addDense, addGrouped, chooseForm } from './branch-feeds.ts'
import type { GraphSession, GraphSessions } from './graph-sessions.ts'
import type { Use } from './kind-uses.ts'
import { KindUses } from './kind-uses.ts'
import type { PackedAdapter } from './packed-adapter.ts'
import { gainChannels } from './packed-adapter.ts'

type Feeds = Record<string, Tensor>

/** What a row of the batch runs with. */
export type RowMix = Pick<GenerationRequest, 'mix' | 'stack'>

/** A graph and the adapter inputs with which it runs a batch. */
export interface AdapterFeeds {
  readonly graph: GraphSession
  readonly feeds: Readonly<Feeds>
  /** Whether another graph would be faster: this one has more sites than are used, or another form than suits. */
  readonly wasteful: boolean
}

/** Batches whose feeds are kept: decode steps and the prompts between them repeat theirs. */
const KEPT = 8

/** Stands for the vectors of a call without any: the embedding times one, plus zero. */
const NO_VECTORS: Feeds = {
  [IO.keep]: new Tensor('float32', Float32Array.of(1), [1, 1]),
  [IO.vectors]: new Tensor('float32', Float32Array.of(0), [1, 1]),
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
    if (least === BASE_SPEC && rows.every(({ mix }) => mix.length === 0))
      return { graph: this.#graphs.base, feeds: {}, wasteful: false }
    const state = `${this.#bank.generation}/${this.#graphs.generation}`
    if (this.#keptFor !== state) {
      this.#kept.clear()
      this.#keptFor = state
    }
    const key = [specKey(least), ...rows.map(rowKey)].join('|')
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    const needed = rows.reduce((spec, row) => specUnion(spec, this.specOf(row)), least)
    const uses = new Map(specKinds(needed).map((kind) => [kind, this.#usesOf(kind, rows)]))
    const form = chooseForm(rows.length, uses.values())
    const graph = this.#graphs.covering(needed, form)
    const feeds: Feeds = graph.spec.vectors ? { ...NO_VECTORS } : {}
    for (const kind of specKinds(graph.spec)) {
      const used = uses.get(kind) ?? this.#usesOf(kind, rows)
      const parts = { info: this.#info, spec: graph.spec, rows: rows.length }
      if (graph.form === 'grouped' && !isEdgeKind(kind)) addGrouped(feeds, { ...parts, kind }, used)
      else addDense(feeds, { ...parts, kind }, used)
    }
    for (const kind of graph.spec.gains) this.#addGain(feeds, kind, rows)
    const answer = { graph, feeds, wasteful: graph.form !== form || specSize(graph.spec) > specSize(needed) }
    this.#kept.set(key, answer)
    return answer
  }

  /** Which rows of the batch use which rows of a stack. */
  #usesOf(kind: SiteKind, rows: readonly RowMix[]): KindUses {
    const stack = this.#bank.kind(kind)
    const uses = rows.flatMap(({ mix, stack: stacked }, row) => {
      let level = 0
      return mix.flatMap(({ digest, scale }): Use[] => {
        const segment = stack?.segment(digest)
        const use = { row, scale, level }
        if (stacked && isStackable(this.#adapters.get(digest)!)) level++
        return segment === undefined ? [] : [{ ...use, segment }]
      })
    })
    return new KindUses(stack, uses)
  }

  #addGain(feeds: Feeds, kind: GainKind, rows: readonly RowMix[]): void {
    const table = this.#bank.gains(kind)
    const channels = gainChannels(this.#info, kind)
    const ones = table === undefined ? new Float32Array(channels).fill(1) : null
    for (let layer = 0; layer < this.#info.layers; layer++)
      feeds[IO.gain(layer, kind)] = new Tensor('float32', ones ?? table!.table(layer), [table?.rows ?? 1, channels])
    const chosen = rows.map(({ mix }) => mix.map(({ digest }) => table?.row(digest) ?? 0).find((row) => row > 0) ?? 0)
    feeds[IO.gainRow(kind)] = new Tensor('int64', BigInt64Array.from(chosen, BigInt), [rows.length])
  }
}

/** Whether a version takes a level of its own in a stack. */
function isStackable({ spec }: PackedAdapter): boolean {
  return spec.residual.length > 0
}

function rowKey({ mix, stack }: RowMix): string {
  return mix.map(({ digest, scale }) => `${digest}*${scale}`).join(stack ? '>' : '+')
}
