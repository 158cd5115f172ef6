import { describe, expect, it } from 'vitest'
import { linearModule } from '../../../src/model/families/modules.ts'
import { adapted, affine, baseOf, difference, inputOf } from '../../support/linear-reference.ts'
import type { AdapterFixture, ModuleName } from '../../support/tiny-adapters.ts'
import { expectRefused, modulePath, readFixture, tinyTuner } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const FEEDFORWARD: ModuleName[] = ['o_proj', 'down_proj']

function ia3(
  config: object = {},
  modules: readonly ModuleName[] = ['k_proj', 'v_proj', ...FEEDFORWARD],
): AdapterFixture {
  return tinyTuner(
    { peft_type: 'IA3', feedforward_modules: FEEDFORWARD, ...config },
    modules,
    ([inDim, outDim], module) => ({
      ia3_l: FEEDFORWARD.includes(module) ? [1, inDim] : [outDim, 1],
    }),
  )
}

function vector(fixture: AdapterFixture, layer: number, module: ModuleName): number[] {
  return Array.from(fixture.tensors[`base_model.model.${modulePath(layer, module)}.ia3_l`]!.values!)
}

describe('an (IA)³', () => {
  it('multiplies what modules return, bias included, and what feed-forward modules read', async () => {
    const fixture = ia3()
    const { weights, description } = await readFixture(fixture)
    for (const layer of [0, 1]) {
      for (const module of ['k_proj', 'down_proj'] as const) {
        const l = vector(fixture, layer, module)
        const x = inputOf(module)
        const { weight, bias } = baseOf(layer, module)
        const expected =
          module === 'k_proj'
            ? affine(weight, x, bias).map((y, o) => y * l[o]!)
            : affine(
                weight,
                x.map((value, i) => value * l[i]!),
                bias,
              )
        expect(difference(adapted(weights, layer, module, x), expected)).toBeLessThan(1e-6)
      }
    }
    expect(description).toMatchObject({ method: 'ia3', rank: 0, parameters: 2 * (4 + 4 + 8 + 16) })
    expect(description.bytes).toBe(weights.bytes)
    expect(description.sites).toContain('layers.1.down_proj')
  })

  it('takes a pattern for the feed-forward modules', async () => {
    const { weights } = await readFixture(ia3({ feedforward_modules: '.*\\.(o|down)_proj' }))
    expect(weights.gains).toEqual((await readFixture(ia3())).weights.gains)
  })

  it('on a fused module is one of each linear layer', async () => {
    const sizes = { hidden: 8, heads: 2, kvHeads: 1, headDim: 4, mlp: 16 }
    const module = linearModule('model.layers.{i}.self_attn.qkv', ['q_proj', 'k_proj', 'v_proj'], sizes)
    const values = noise(5, 16)
    const tensors = { 'base_model.model.model.layers.0.self_attn.qkv.ia3_l': { shape: [16, 1], values } }
    const config = { ...ia3().config, target_modules: ['qkv'] }
    const { weights } = await readFixture({ config, tensors }, tinyInfo({ modules: [module], layers: 1 }))
    expect(weights.gains.map(({ kind, side, values: own }) => [kind, side, [...own]])).toEqual([
      ['q_proj', 'out', [...values.subarray(0, 8)]],
      ['k_proj', 'out', [...values.subarray(8, 12)]],
      ['v_proj', 'out', [...values.subarray(12)]],
    ])
  })

  it('is refused by tensor or field', async () => {
    await expectRefused(ia3({ target_modules: null }), 'invalid_adapter', '"target_modules"')
    await expectRefused(ia3({ target_modules: ['k_proj'] }), 'invalid_adapter', 'does not select')
    await expectRefused(ia3({ feedforward_modules: ['down_proj'] }), 'invalid_adapter', 'o_proj.ia3_l')
    const inputs = tinyTuner({ peft_type: 'IA3', feedforward_modules: ['q_proj'] }, ['q_proj'], () => ({
      ia3_l: [1, 8],
    }))
    await expectRefused(inputs, 'unsupported_adapter', 'multiplies what model.layers.0.self_attn.q_proj reads')
    const short = ia3()
    short.tensors[`base_model.model.${modulePath(0, 'k_proj')}.ia3_l`] = { shape: [3, 1] }
    await expectRefused(short, 'base_mismatch', 'has 3 values')
  })
})
