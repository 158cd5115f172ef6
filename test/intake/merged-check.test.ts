import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterWeights } from '../../src/core/branch.ts'
import type { Precision } from '../../src/core/model-info.ts'
import { TroupeError } from '../../src/core/errors.ts'
import type { ReferencePort } from '../../src/intake/merged-check.ts'
import { readReference } from '../support/conformance.ts'
import { FAKE_INFO } from '../support/fake-host.ts'
import { ProbedModel } from '../support/probed-model.ts'
import { codeOf, messageOf, openRooms, upload } from '../support/rooms.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')

const MODELS: readonly (readonly [string, Precision])[] = [
  // The folders of added tokens have adapters that intake refuses before any probe.
  ...readdirSync(FIXTURES).flatMap((folder) => (folder.endsWith('-tokens') ? [] : [[folder, 'f32'] as const])),
  ...(['llama-methods', 'gpt2-methods', 'gemma2', 'gpt_neox'] as const).flatMap(
    (folder) =>
      [
        [folder, 'int8'],
        [folder, 'int4'],
      ] as const,
  ),
]

/** As if α / r were off by two, one site were missed, factors were at the wrong place or the wrong way round. */
const FAULTS: Readonly<Record<string, (weights: AdapterWeights) => AdapterWeights>> = {
  'twice the scale': (weights) => rescaled(weights, 2),
  'half the scale': (weights) => rescaled(weights, 0.5),
  'factors of other layers': (weights) => {
    const layers = weights.branches.map(({ layer }) => layer)
    const last = Math.max(...layers)
    return { ...weights, branches: weights.branches.map((branch) => ({ ...branch, layer: last - branch.layer })) }
  },
  'a transposed factor': (weights) => ({
    ...weights,
    branches: weights.branches.map((branch) => ({ ...branch, up: transposed(branch.up, branch.rank) })),
  }),
}

function rescaled(weights: AdapterWeights, factor: number): AdapterWeights {
  return { ...weights, branches: weights.branches.map((branch) => ({ ...branch, scale: factor * branch.scale })) }
}

function transposed(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!)
}

describe.each(MODELS)('%s in %s', (folder, precision) => {
  const { model: modelDir, adapters } = readReference(join(FIXTURES, folder))
  let model: ProbedModel
  const known: AdapterWeights[] = []

  beforeAll(async () => {
    model = await ProbedModel.open(modelDir, precision)
    for (const dir of adapters.values()) {
      try {
        known.push(model.read(dir))
      } catch (error) {
        // Some fixtures are there to be refused.
        if (!(error instanceof TroupeError)) throw error
      }
    }
  })
  afterAll(() => model.close())

  it('accepts every adapter, and says where nothing can be compared', async () => {
    let compared = 0
    for (const weights of known) {
      const { deviation, tolerance, reason } = await model.check(weights)
      if (reason !== null) {
        expect(reason).toMatch(/bottleneck|virtual tokens|rows of their own/)
        continue
      }
      compared++
      // Far from being refused.
      expect(deviation, weights.method).toBeLessThan(0.6 * tolerance)
      if (precision === 'f32') expect(deviation, weights.method).toBeLessThan(1e-4)
    }
    expect(compared).toBeGreaterThan(0)
  })

  it('refuses an engine that applies a LoRA wrongly', async () => {
    const lora = known.find(({ method }) => method === 'lora' || method === 'dora')!
    for (const [fault, apply] of Object.entries(FAULTS))
      expect(await codeOf(() => model.check(lora, apply(lora))), fault).toBe('probe_mismatch')
  })

  if (precision === 'f32')
    it('refuses an engine that misses a single site or gain', async () => {
      const lora = known.find(({ method }) => method === 'lora' || method === 'dora')!
      for (let i = 0; i < lora.branches.length; i++) {
        const held = { ...lora, branches: lora.branches.filter((_, index) => index !== i) }
        expect(await codeOf(() => model.check(lora, held)), `branch ${i}`).toBe('probe_mismatch')
      }
      const scaled = known.find(({ gains }) => gains.length > 1)
      if (scaled === undefined) return
      expect(await codeOf(() => model.check(scaled, { ...scaled, gains: scaled.gains.slice(1) }))).toBe(
        'probe_mismatch',
      )
    })
})

/** A reference that finds every effect `factor` times as large as the fake engine. */
class FakeReference implements ReferencePort {
  closed = false
  bases = 0
  readonly #factor: number

  constructor(factor: number) {
    this.#factor = factor
  }

  async base(tokens: Int32Array): Promise<Float32Array> {
    this.bases++
    return this.#answers(tokens, 0)
  }

  async adapted(tokens: Int32Array, { branches }: AdapterWeights): Promise<Float32Array> {
    return this.#answers(tokens, this.#factor * branches[0]!.down[0]!)
  }

  async close(): Promise<void> {
    this.closed = true
  }

  #answers(tokens: Int32Array, effect: number): Float32Array {
    return new Float32Array((tokens.length - 1) * FAKE_INFO.vocab).fill(-3 + effect)
  }
}

describe('an upload', () => {
  it('has the comparison in its proof', async () => {
    const reference = new FakeReference(1)
    const { rooms } = await openRooms({ reference })
    const { version } = await upload(rooms, 'a', { effect: 0.5 })
    const proof = await rooms.intake.proofOf('a', version)
    expect(proof?.merged).toEqual({
      deviation: expect.closeTo(0, 5) as number,
      tolerance: expect.closeTo(2.4e-4, 5) as number,
      reason: null,
    })
    expect(rooms.stats()).toMatchObject({ mergedProbes: 1 })
    await rooms.close()
    expect(reference.closed).toBe(true)
  })

  it('is refused where the engine answers otherwise, and leaves nothing', async () => {
    const { rooms, host } = await openRooms({ reference: new FakeReference(2) })
    expect(await messageOf(() => upload(rooms, 'a', { effect: 0.5 }))).toMatch(
      /50 % of the adapter's effect, rounding explains 0.022 %/,
    )
    expect(await codeOf(() => rooms.catalogue.getAdapter('a', '*'))).toBe('adapter_not_found')
    expect(host.held.size).toBe(0)
    rooms.checkIntegrity()
  })

  it('says why nothing was compared', async () => {
    const { rooms } = await openRooms({ reference: { off: 'nobody wants it' } })
    const { version } = await upload(rooms, 'a', { effect: 0.5 })
    const proof = await rooms.intake.proofOf('a', version)
    expect(proof?.merged).toEqual({ deviation: null, tolerance: null, reason: 'nobody wants it' })
  })

  it('fails, without a verdict, where the reference cannot be computed', async () => {
    const reference = new FakeReference(1)
    reference.adapted = () => Promise.reject(new TroupeError('internal', 'out of memory'))
    const { rooms } = await openRooms({ reference })
    expect(await codeOf(() => upload(rooms, 'a', { effect: 0.5 }))).toBe('internal')
  })
})
