import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { GREEDY } from '../../src/core/generation.ts'
import { AdapterFeeder } from '../../src/engine/adapter-feeds.ts'
import { Bank } from '../../src/engine/bank.ts'
import { GraphSessions } from '../../src/engine/graph-sessions.ts'
import { KvCache } from '../../src/engine/kv-cache.ts'
import { ModelRunner, testInPlace } from '../../src/engine/model-runner.ts'
import { Positions } from '../../src/engine/positions.ts'
import { Sequence } from '../../src/engine/sequence.ts'
import { prepareModel } from '../../src/model/prepare.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-runner-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

it('computes the same with ordinary outputs as in place', async () => {
  const modelDir = join(import.meta.dirname, '../fixtures/conformance/qwen3/model')
  const prepared = await prepareModel({ modelDir, precision: 'f32', cacheDir })
  const { info, architecture } = prepared.manifest
  const positions = new Positions(architecture)
  const graphs = await GraphSessions.open(prepared, { threads: 1, budget: 1e9 })
  expect(await testInPlace(graphs.base, info, positions)).toBe(true)

  /** Prefills two rows, decodes both twice, and returns all logits on the way. */
  async function run(inPlace: boolean): Promise<number[]> {
    const kv = new KvCache({ ...info, slots: 2, capacity: 16 })
    const feeder = new AdapterFeeder(info, new Bank(info, 1000), graphs, new Map())
    const runner = new ModelRunner({ info, kv, feeder, positions, inPlace, chunk: 16 })
    const rows = [3, 6].map((length, row) => {
      const tokens = Int32Array.from({ length }, (_, i) => 11 * (i + row) + 5)
      const request = {
        tokens,
        mix: [],
        sampling: GREEDY,
        maxTokens: 4,
        stopTokens: [],
        logprobs: null,
        promptLogprobs: false,
      }
      const sequence = new Sequence(row, request, 0)
      sequence.row = row
      return sequence
    })
    const seen: number[] = []
    for (const sequence of rows) {
      seen.push(...(await runner.prefill(sequence, sequence.promptLength, false)))
      sequence.cached = sequence.promptLength
      sequence.accept(sequence.promptLength)
    }
    for (let step = 0; step < 2; step++) {
      seen.push(...(await runner.decode(rows)))
      for (const sequence of rows) {
        sequence.cached++
        sequence.accept(40 + step)
      }
    }
    return seen
  }

  const inPlace = await run(true)
  const copied = await run(false)
  expect(inPlace.length).toBe(6 * info.vocab)
  expect(Math.max(...inPlace.map((value, i) => Math.abs(value - copied[i]!)))).toBeLessThan(1e-4)
  await graphs.release()
})
