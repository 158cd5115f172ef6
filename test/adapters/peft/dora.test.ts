import { describe, expect, it } from 'vitest'
import { linearModule, llamaModules } from '../../../src/model/families/modules.ts'
import {
  adapted,
  affine,
  baseOf,
  combine,
  difference,
  inputOf,
  matrixOf,
  multiply,
} from '../../support/linear-reference.ts'
import type { AdapterFixture, ModuleName } from '../../support/tiny-adapters.ts'
import { expectRefused, modulePath, readFixture, tinyTuner } from '../../support/tiny-adapters.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const SIZES = { hidden: 8, heads: 2, kvHeads: 1, headDim: 4, mlp: 16 }
const BIASED = tinyInfo({ modules: llamaModules(SIZES, () => true) })
const MODULES: ModuleName[] = ['v_proj', 'down_proj']
const CONFIG = { peft_type: 'LORA', r: 2, lora_alpha: 3, use_dora: true }

function dora(config: object = {}): AdapterFixture {
  return tinyTuner({ ...CONFIG, ...config }, MODULES, ([inDim, outDim]) => ({
    'lora_A.weight': [2, inDim],
    'lora_B.weight': [outDim, 2],
    lora_magnitude_vector: [outDim],
  }))
}

/** y = m / ‖row of W + s B A‖ ∘ (W x + s B A x) + b, from the tensors. */
function definition(fixture: AdapterFixture, layer: number, module: ModuleName, scale: number): number[] {
  const stem = `base_model.model.${modulePath(layer, module)}`
  const { weight, bias } = baseOf(layer, module)
  const delta = multiply(
    matrixOf(fixture.tensors, `${stem}.lora_B.weight`),
    matrixOf(fixture.tensors, `${stem}.lora_A.weight`),
  )
  const whole = combine(weight, delta, (w, d) => w + scale * d)
  const [m] = matrixOf(fixture.tensors, `${stem}.lora_magnitude_vector`)
  const x = inputOf(module)
  return affine(whole, x).map((y, o) => (m![o]! / Math.hypot(...whole[o]!)) * y + bias[o]!)
}

describe('a DoRA', () => {
  it.each([
    [{}, 1.5],
    [{ use_rslora: true }, 3 / Math.SQRT2],
    [{ alpha_pattern: { v_proj: 8, down_proj: 8 } }, 4],
  ])('becomes gains and branches: %j', async (config, scale) => {
    const fixture = dora(config)
    const { weights, description } = await readFixture(fixture, BIASED)
    for (const layer of [0, 1]) {
      for (const module of MODULES) {
        const found = adapted(weights, layer, module, inputOf(module))
        expect(difference(found, definition(fixture, layer, module, scale))).toBeLessThan(1e-5)
      }
    }
    expect(description).toMatchObject({ method: 'dora', rank: 2, virtualTokens: 0 })
    expect(description.sites).toEqual(
      [0, 1].flatMap((layer) => ['down_proj', 'v_proj'].map((kind) => `layers.${layer}.${kind}`)),
    )
    const views = [
      ...weights.gains.map(({ values }) => values),
      ...weights.branches.flatMap(({ down, up, c }) => [down, up, c!]),
    ]
    expect(new Set(views.map(({ buffer }) => buffer)).size).toBe(1)
    expect(description.bytes).toBe(views.reduce((sum, { byteLength }) => sum + byteLength, 0))
  })

  it('has no bias of its own where the base model has none', async () => {
    expect((await readFixture(dora())).weights.branches.every(({ c }) => c === null)).toBe(true)
  })

  it('has its old name for the magnitude, too', async () => {
    const { config, tensors } = dora()
    const renamed = Object.entries(tensors).map(([name, tensor]) => {
      return [name.replace('magnitude_vector', 'magnitude_vector.default.weight'), tensor] as const
    })
    const { weights } = await readFixture({ config, tensors: Object.fromEntries(renamed) })
    expect(weights.gains).toEqual((await readFixture(dora())).weights.gains)
  })

  it('on a fused module is one of each linear layer', async () => {
    const module = linearModule('model.layers.{i}.self_attn.qkv', ['q_proj', 'k_proj', 'v_proj'], SIZES)
    const fixture = tinyTuner({ ...CONFIG, target_modules: ['qkv'] }, ['q_proj'], () => ({
      'lora_A.weight': [2, 8],
      'lora_B.weight': [16, 2],
      lora_magnitude_vector: [16],
    }))
    const entries = Object.entries(fixture.tensors).map(
      ([name, tensor]) => [name.replace('q_proj', 'qkv'), tensor] as const,
    )
    const tensors = Object.fromEntries(entries)
    const { weights } = await readFixture({ config: fixture.config, tensors }, tinyInfo({ modules: [module] }))
    const stem = 'base_model.model.model.layers.1.self_attn.qkv'
    const [m] = matrixOf(tensors, `${stem}.lora_magnitude_vector`)
    const delta = multiply(matrixOf(tensors, `${stem}.lora_B.weight`), matrixOf(tensors, `${stem}.lora_A.weight`))
    for (const { kind, outputs } of module.parts) {
      const { weight } = baseOf(1, kind)
      const expected = weight.map((row, o) => {
        const all = outputs.first + o
        return m![all]! / Math.hypot(...row.map((w, k) => w + 1.5 * delta[all]![k]!))
      })
      const gain = weights.gains.find((one) => one.layer === 1 && one.kind === kind)!
      expect(difference([...gain.values], expected)).toBeLessThan(1e-5)
    }
  })

  it('is refused by tensor or field', async () => {
    const missing = dora()
    delete missing.tensors[`base_model.model.${modulePath(1, 'v_proj')}.lora_magnitude_vector`]
    await expectRefused(missing, 'invalid_adapter', 'no lora_magnitude_vector beside it')
    const wide = dora()
    const name = `base_model.model.${modulePath(0, 'v_proj')}.lora_magnitude_vector`
    wide.tensors[name] = { shape: [5] }
    await expectRefused(wide, 'invalid_adapter', name)
    await expectRefused(dora({ lora_bias: true }), 'unsupported_adapter', '"lora_bias"')
    await expectRefused(dora({ use_dora: false }), 'unsupported_adapter', 'use_dora')
    const head = dora({ target_modules: [...MODULES, 'lm_head'] })
    head.tensors['base_model.model.lm_head.lora_A.weight'] = { shape: [2, 8] }
    head.tensors['base_model.model.lm_head.lora_B.weight'] = { shape: [32, 2] }
    head.tensors['base_model.model.lm_head.lora_magnitude_vector'] = { shape: [32] }
    await expectRefused(head, 'unsupported_adapter', '"use_dora"')
  })

  it('that cancels a row of the base model is refused', async () => {
    const fixture = dora()
    const stem = `base_model.model.${modulePath(0, 'v_proj')}`
    const { weight } = baseOf(0, 'v_proj')
    // A takes over row 0 of W, B subtracts it: nothing is left of that row.
    fixture.tensors[`${stem}.lora_A.weight`] = { shape: [2, 8], values: [...weight[0]!, ...weight[1]!] }
    fixture.tensors[`${stem}.lora_B.weight`] = { shape: [4, 2], values: [-1, 0, 0, 0, 0, 0, 0, 0] }
    fixture.config['lora_alpha'] = 2
    await expectRefused(fixture, 'invalid_adapter', `row 0 of layers.0.v_proj`)
  })
})
