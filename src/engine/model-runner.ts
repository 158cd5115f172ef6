import { Tensor } from 'onnxruntime-node'
import type { ModelInfo } from '../core/model-info.ts'
import { BASE_SPEC, IO } from '../model/graph/spec.ts'
import type { AdapterFeeder, AdapterFeeds } from './adapter-feeds.ts'
import { runInPlace, writesInPlace } from './in-place.ts'
import { KvCache } from './kv-cache.ts'
import type { GraphSession } from './graph-sessions.ts'
import type { KvPrefix } from './packed-adapter.ts'
import type { Positions, RowSpan } from './positions.ts'
import type { Sequence } from './sequence.ts'

const SELF_TEST_TOKENS = 4

interface RunnerParts {
  readonly info: ModelInfo
  readonly kv: KvCache
  readonly feeder: AdapterFeeder
  readonly positions: Positions
  /** Whether calls write KV and logits in place, as proven at start. */
  readonly inPlace: boolean
  /** Most tokens of one call. */
  readonly chunk: number
}

/** Turns a step of the scheduler into one ONNX Runtime call. */
export class ModelRunner {
  readonly #parts: RunnerParts
  #logits = new Float32Array(0)
  /** Seconds spent inside ONNX Runtime. */
  runSeconds = 0
  #wastefulSeconds = 0

  constructor(parts: RunnerParts) {
    this.#parts = parts
  }

  /** Seconds since the last asking on graphs with more than the calls needed. */
  takeWastefulSeconds(): number {
    const seconds = this.#wastefulSeconds
    this.#wastefulSeconds = 0
    return seconds
  }

  /**
   * Evaluates the next `count` prompt tokens of a sequence.
   * @returns logits `[rows, vocab]` of the last position, of all positions with `all`; valid until the next call
   */
  async prefill(sequence: Sequence, count: number, all: boolean): Promise<Float32Array> {
    const { tokens } = sequence.request
    const ids = BigInt64Array.from(tokens.subarray(sequence.cached, sequence.cached + count), BigInt)
    const end = sequence.cached + count
    const last = end === sequence.promptLength
    const span = spanOf(sequence, end, sequence.promptLength)
    const rows = all ? Array.from({ length: count }, (_, i) => i) : last ? [count - 1] : []
    const { kv, feeder } = this.#parts
    return this.#run(kv, sequence.row, ids, [1, count], [span], rows, feeder.feedsFor([sequence.request]))
  }

  /** One token for rows `0 … n − 1`. @returns logits `[n, vocab]`; valid until the next call */
  async decode(sequences: readonly Sequence[]): Promise<Float32Array> {
    for (const sequence of sequences) if (this.#parts.positions.outgrows(sequence.kvLength)) await this.#again(sequence)
    const ids = BigInt64Array.from(sequences, (sequence) => BigInt(sequence.lastToken))
    const spans = sequences.map((sequence) => spanOf(sequence, sequence.cached + 1, sequence.cached + 1))
    const { kv, feeder } = this.#parts
    const adapters = feeder.feedsFor(sequences.map(({ request }) => request))
    return this.#run(kv, 0, ids, [sequences.length, 1], spans, [...sequences.keys()], adapters)
  }

  /**
   * The last token of a sequence and a draft of what follows, in one call.
   * @returns logits `[1 + draft, vocab]`; valid until the next call
   */
  async verify(sequence: Sequence, draft: readonly number[]): Promise<Float32Array> {
    if (this.#parts.positions.outgrows(sequence.kvLength)) await this.#again(sequence)
    const ids = BigInt64Array.from([sequence.lastToken, ...draft], BigInt)
    const end = sequence.cached + ids.length
    const span = spanOf(sequence, end, end)
    const { kv, feeder } = this.#parts
    const adapters = feeder.feedsFor([sequence.request])
    return this.#run(kv, sequence.row, ids, [1, ids.length], [span], [...ids.keys()], adapters)
  }

  /** Evaluates all cached tokens once more, as the beginning of a sequence that is one token longer. Other rows wait meanwhile. */
  async #again(sequence: Sequence): Promise<void> {
    const { request, generated, row, cached } = sequence
    const ids = BigInt64Array.from([...request.tokens, ...generated].slice(0, cached), BigInt)
    for (let start = 0; start < cached; start += this.#parts.chunk) {
      const part = ids.slice(start, start + this.#parts.chunk)
      const span = spanOf(sequence, start + part.length, cached + 1)
      const { kv, feeder } = this.#parts
      await this.#run(kv, row, part, [1, part.length], [span], [], feeder.feedsFor([request]))
    }
  }

  /**
   * Keys and values of tokens that are given as vectors in place of the embedding's, evaluated in a cache of their own.
   *
   * @param vectors `[count, hidden]`
   */
  async evaluate(vectors: Float32Array, count: number): Promise<KvPrefix> {
    const { info, feeder, chunk } = this.#parts
    const cache = new KvCache({ ...info, slots: 1, capacity: count })
    const given = feeder.feedsFor([{ mix: [] }], { ...BASE_SPEC, vectors: true })
    for (let start = 0; start < count; start += chunk) {
      const end = Math.min(count, start + chunk)
      // A copy: the runtime takes no views of shared memory.
      const part = vectors.slice(start * info.hidden, end * info.hidden)
      const tokens = {
        [IO.keep]: new Tensor('float32', Float32Array.of(0), [1, 1]),
        [IO.vectors]: new Tensor('float32', part, [end - start, info.hidden]),
      }
      const adapters = { ...given, feeds: { ...given.feeds, ...tokens } }
      const ids = new BigInt64Array(end - start)
      await this.#run(cache, 0, ids, [1, end - start], [{ end, known: count }], [], adapters)
    }
    return { type: 'keys_values', count, layers: cache.read(0, 0, count), usePositions: true }
  }

  async #run(
    cache: KvCache,
    firstRow: number,
    ids: BigInt64Array,
    [batch, tokens]: readonly [number, number],
    spans: readonly RowSpan[],
    logitRows: readonly number[],
    { graph, feeds: adapters, wasteful }: AdapterFeeds,
  ): Promise<Float32Array> {
    const { info, positions, inPlace } = this.#parts
    const kv = cache.view(firstRow, batch)
    const ends = spans.map(({ end }) => end)
    const lengths = lengthFeeds(ids, [batch, tokens], ends, logitRows)
    const feeds = { ...lengths, ...positions.feeds(spans, tokens, graph.spec.positions), ...kv.past, ...adapters }
    const size = logitRows.length * info.vocab
    if (this.#logits.length < size) this.#logits = new Float32Array(size)
    const logits = new Tensor('float32', this.#logits.subarray(0, size), [logitRows.length, info.vocab])
    const started = performance.now()
    if (inPlace) await runInPlace(graph.session, feeds, { [IO.logits]: logits, ...kv.present })
    else {
      const outputs = await graph.session.run(feeds, [IO.logits, ...Object.keys(kv.present)])
      cache.adopt(kv, outputs)
      logits.data.set(outputs[IO.logits]!.data as Float32Array)
    }
    const seconds = (performance.now() - started) / 1000
    this.runSeconds += seconds
    if (wasteful) this.#wastefulSeconds += seconds
    return logits.data
  }
}

/** @param end, known tokens of prompt and completion; the virtual ones come on top */
function spanOf({ prefix }: Sequence, end: number, known: number): RowSpan {
  const virtual = prefix?.count ?? 0
  return { end: virtual + end, known: virtual + known, unplaced: prefix === null || prefix.usePositions ? 0 : virtual }
}

/** Runs a few tokens both ways on a small cache: does this runtime write in place? */
export async function testInPlace(graph: GraphSession, info: ModelInfo, positions: Positions): Promise<boolean> {
  const cache = (): KvCache => new KvCache({ ...info, slots: 1, capacity: 2 * SELF_TEST_TOKENS })
  const ids = BigInt64Array.from({ length: SELF_TEST_TOKENS }, (_, i) => BigInt(i % info.vocab))
  const fixed = {
    ...lengthFeeds(ids, [1, SELF_TEST_TOKENS], [SELF_TEST_TOKENS], [SELF_TEST_TOKENS - 1]),
    ...positions.feeds([{ end: SELF_TEST_TOKENS, known: SELF_TEST_TOKENS }], SELF_TEST_TOKENS, false),
  }
  return writesInPlace(
    graph.session,
    () => ({ ...fixed, ...cache().view(0, 1).past }),
    () => ({
      [IO.logits]: new Tensor('float32', new Float32Array(info.vocab), [1, info.vocab]),
      ...cache().view(0, 1).present,
    }),
  )
}

/** @param ends cached tokens of each row once this call is done */
function lengthFeeds(
  ids: BigInt64Array,
  dims: readonly [number, number],
  ends: readonly number[],
  logitRows: readonly number[],
): Record<string, Tensor> {
  return {
    [IO.inputIds]: new Tensor('int64', ids, dims),
    [IO.lastPosition]: new Tensor(
      'int32',
      Int32Array.from(ends, (end) => end - 1),
      [ends.length],
    ),
    [IO.totalLength]: new Tensor('int32', Int32Array.of(Math.max(...ends)), []),
    [IO.logitRows]: new Tensor('int64', BigInt64Array.from(logitRows, BigInt), [logitRows.length]),
  }
}
