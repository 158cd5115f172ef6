import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Activation, AdapterWeights, Branch, SiteKind } from '../../src/core/branch.ts'
import { GREEDY } from '../../src/core/generation.ts'
import { siteDims } from '../../src/core/model-info.ts'
import { AdapterFeeder } from '../../src/engine/adapter-feeds.ts'
import type { RowMix } from '../../src/engine/adapter-feeds.ts'
import { Bank } from '../../src/engine/bank.ts'
import { GraphSessions } from '../../src/engine/graph-sessions.ts'
import { KvCache } from '../../src/engine/kv-cache.ts'
import { ModelRunner } from '../../src/engine/model-runner.ts'
import type { PackedAdapter } from '../../src/engine/packed-adapter.ts'
import { packAdapter } from '../../src/engine/packed-adapter.ts'
import { Positions } from '../../src/engine/positions.ts'
import { Sequence } from '../../src/engine/sequence.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { noise } from '../support/tiny-checkpoint.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-forms-'))
const PROMPT = [5, 6, 7, 8]
const SLOTS = 16

let prepared: PreparedModel
let graphs: GraphSessions
let bank: Bank
let adapters: Map<string, PackedAdapter>
let feeder: AdapterFeeder

beforeAll(async () => {
  const modelDir = join(import.meta.dirname, '../fixtures/conformance/llama/model')
  prepared = await prepareModel({ modelDir, precision: 'f32', cacheDir })
  const { info } = prepared.manifest
  graphs = await GraphSessions.open(prepared, { threads: 1, budget: 1e9 })
  bank = new Bank(info, 1e8)
  adapters = new Map()
  feeder = new AdapterFeeder(info, bank, graphs, adapters)
})
afterAll(async () => {
  await graphs.release()
  rmSync(cacheDir, { recursive: true })
})

async function hold(digest: string, kinds: readonly SiteKind[], rank: number, phi?: Activation): Promise<string> {
  const { info } = prepared.manifest
  const values = (length: number): Float32Array => noise(digest.length * 31 + digest.charCodeAt(0) + length, length)
  const branches = kinds.flatMap((kind) =>
    Array.from({ length: info.layers }, (_, layer): Branch => {
      const [inDim, outDim] = siteDims(info, kind)
      const weights = { down: values(rank * inDim), up: values(rank * outDim).map((value) => value / 4) }
      const biases = phi === undefined ? { a: null, c: null } : { a: values(rank), c: values(outDim) }
      return { layer, kind, rank, scale: 1, activation: phi ?? 'identity', ...weights, ...biases }
    }),
  )
  const weights: AdapterWeights = {
    digest,
    method: 'lora',
    branches,
    gains: [],
    virtualTokens: null,
    tokenRows: null,
    bytes: 0,
  }
  const packed = packAdapter(weights, info)
  await graphs.ensure(packed.spec)
  adapters.set(digest, packed)
  bank.pin(packed)
  return digest
}

/** Logits of one decode step after the same prompt in every row. */
async function decode(mixes: readonly RowMix[]): Promise<number[][]> {
  const { info, architecture } = prepared.manifest
  const kv = new KvCache({ ...info, slots: SLOTS, capacity: 16 })
  const positions = new Positions(architecture)
  const runner = new ModelRunner({ info, kv, feeder, positions, inPlace: true, chunk: 16 })
  const sequences = mixes.map((mix, row) => {
    const fixed = { sampling: GREEDY, maxTokens: 4, stopTokens: [], logprobs: null, promptLogprobs: false }
    const sequence = new Sequence(row, { tokens: Int32Array.from(PROMPT), ...fixed, ...mix }, 0)
    sequence.row = row
    return sequence
  })
  for (const sequence of sequences) {
    await runner.prefill(sequence, PROMPT.length, false)
    sequence.cached = PROMPT.length
    sequence.accept(9)
  }
  const logits = await runner.decode(sequences)
  return mixes.map((_, row) => [...logits.subarray(row * info.vocab, (row + 1) * info.vocab)])
}

/** Each row alone runs dense; together they must run grouped and give the same. */
async function expectSameAsAlone(mixes: readonly RowMix[]): Promise<void> {
  expect(feeder.feedsFor(mixes).graph.form).toBe('grouped')
  const together = await decode(mixes)
  for (const [row, mix] of mixes.entries()) {
    expect(feeder.feedsFor([mix]).graph.form).toBe('dense')
    const [alone] = await decode([mix])
    const difference = Math.max(...alone!.map((value, i) => Math.abs(value - together[row]![i]!)))
    expect(difference, `row ${row}`).toBeLessThan(1e-3)
  }
}

const one = (digest: string, scale = 1): RowMix => ({ mix: [{ digest, scale }] })

describe('the grouped form', () => {
  it('gives every row what it has alone: other ranks, scales, sites, nobody between them, base rows', async () => {
    await hold('a', ['q_proj', 'v_proj'], 4)
    await hold('bb', ['q_proj', 'v_proj', 'down_proj'], 8)
    await hold('unused', ['q_proj', 'v_proj'], 12)
    await hold('cccc', ['q_proj', 'v_proj', 'gate_proj'], 4)
    await hold('ddddd', ['k_proj', 'o_proj', 'up_proj'], 16)
    await expectSameAsAlone([
      one('ddddd'),
      { mix: [] },
      one('bb', 0.5),
      one('a'),
      { mix: [] },
      one('cccc', -2),
      { mix: [{ digest: 'a', scale: 0.7 }, { digest: 'bb', scale: 1.5 }] }, // prettier-ignore
      one('a', 2),
      { mix: [] },
    ])
  })

  it('does so for modules with biases and other non-linearities, beside LoRAs and on top of each other', async () => {
    await hold('relu', ['mlp_stream'], 7, 'relu')
    await hold('tanhh', ['mlp_stream', 'attn_stream'], 7, 'tanh')
    await hold('geluuu', ['attn_out', 'mlp_stream'], 7, 'gelu')
    await hold('lora', ['q_proj', 'down_proj'], 8)
    const stack = { mix: [{ digest: 'geluuu', scale: 1 }, { digest: 'relu', scale: 1 }], stack: true } // prettier-ignore
    await graphs.ensure(feeder.specOf(stack))
    await expectSameAsAlone([
      one('relu'),
      one('tanhh', 0.5),
      one('geluuu'),
      { mix: [] },
      one('lora'),
      stack,
      { mix: [{ digest: 'tanhh', scale: 1 }, { digest: 'lora', scale: 1 }] }, // prettier-ignore
      { mix: [] },
      one('relu', 2),
      { mix: [] },
      { mix: [] },
      { mix: [] },
    ])
  })

  it('is left where it would not pay: few adapters, or ranks without a common measure', async () => {
    await hold('odd', ['q_proj', 'v_proj'], 5)
    const rows = (...digests: string[]): RowMix[] => digests.map((digest) => one(digest))
    expect(feeder.feedsFor(rows('a', 'a', 'a', 'a', 'a')).graph.form).toBe('dense')
    expect(feeder.feedsFor(rows('a', 'bb')).graph.form).toBe('dense')
    expect(feeder.feedsFor(rows('a', 'bb', 'cccc', 'unused', 'odd', 'lora')).graph.form).toBe('dense')
  })
})
