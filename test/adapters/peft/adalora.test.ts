import { describe, expect, it } from 'vitest'
import { expectRefused, modulePath, readFixture, tinyTuner } from '../../support/tiny-adapters.ts'

const CONFIG = { peft_type: 'ADALORA', init_r: 4, lora_alpha: 6, r: 8, target_r: 2, tinit: 2, tfinal: 3, deltaT: 1 }
const RANKS: Readonly<Record<string, number>> = { q_proj: 3, v_proj: 0 }

/** An AdaLoRA of which training left three singular values at one module and none at another. */
function adalora(changes: object = {}) {
  const kept = (count: number): boolean[] => [0, 1, 2, 3].map((i) => i < count)
  const pattern = [0, 1].flatMap((layer) =>
    (['q_proj', 'v_proj'] as const).map((module) => [`${modulePath(layer, module)}.lora_E`, kept(RANKS[module]!)]),
  )
  const config = { ...CONFIG, rank_pattern: Object.fromEntries(pattern) as object, ...changes }
  return tinyTuner(config, ['q_proj', 'v_proj'], ([inDim, outDim], module) => {
    const rank = RANKS[module]!
    return { lora_A: [rank, inDim], lora_B: [outDim, rank], lora_E: [rank, 1] }
  })
}

describe('an AdaLoRA', () => {
  it('is a branch with its singular values in down and the scale of its first rank', async () => {
    const fixture = adalora()
    const { weights, description } = await readFixture(fixture)
    expect([description.method, description.rank, description.sites]).toEqual([
      'adalora',
      3,
      ['layers.0.q_proj', 'layers.1.q_proj'],
    ])
    const [branch] = weights.branches
    expect(branch!.scale).toBeCloseTo(6 / (4 + 1e-5), 12)
    const stem = `base_model.model.${modulePath(0, 'q_proj')}`
    const [a, e] = ['lora_A', 'lora_E'].map((part) => fixture.tensors[`${stem}.${part}`]!.values!) as [
      number[],
      number[],
    ]
    expect([...branch!.down]).toEqual(
      [...a].map((value, i) => Math.fround(Math.fround(value) * Math.fround(e[Math.floor(i / 8)]!))),
    )
  })

  it('is refused by tensor or field', async () => {
    await expectRefused(adalora({ rank_pattern: null }), 'invalid_adapter', 'gives [4, in]')
    await expectRefused(adalora({ rank_pattern: { x: 3 } }), 'invalid_adapter', '"rank_pattern"')
    await expectRefused(adalora({ target_modules: null }), 'invalid_adapter', '"target_modules"')
    const missing = adalora()
    delete missing.tensors[`base_model.model.${modulePath(0, 'q_proj')}.lora_E`]
    await expectRefused(missing, 'invalid_adapter', 'has no lora_E')
  })
})
