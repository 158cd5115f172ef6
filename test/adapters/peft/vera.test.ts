import { describe, expect, it } from 'vitest'
import { adapted, affine, baseOf, difference, inputOf, matrixOf } from '../../support/linear-reference.ts'
import type { AdapterFixture, ModuleName } from '../../support/tiny-adapters.ts'
import { expectRefused, modulePath, readFixture, tinyTuner } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'

const MODULES: ModuleName[] = ['q_proj', 'v_proj', 'down_proj']
const RANK = 3

/** The widest module reads 16 values, the tallest returns 8. */
function vera(config: object = {}): AdapterFixture {
  const all = { peft_type: 'VERA', r: RANK, save_projection: true, projection_prng_key: 3, d_initial: 0.1, ...config }
  const fixture = tinyTuner(all, MODULES, ([, outDim]) => ({ vera_lambda_b: [outDim], vera_lambda_d: [RANK] }))
  fixture.tensors['base_model.vera_A'] = { shape: [RANK, 16], values: noise(91, RANK * 16) }
  fixture.tensors['base_model.vera_B'] = { shape: [8, RANK], values: noise(92, RANK * 8) }
  return fixture
}

describe('a VeRA', () => {
  it('is b ∘ B (d ∘ A x) with the part of A and B that a module has channels for', async () => {
    const fixture = vera()
    const { weights, description } = await readFixture(fixture)
    const [A, B] = [matrixOf(fixture.tensors, 'base_model.vera_A'), matrixOf(fixture.tensors, 'base_model.vera_B')]
    for (const layer of [0, 1]) {
      for (const module of MODULES) {
        const stem = `base_model.model.${modulePath(layer, module)}`
        const [[b], [d]] = ['b', 'd'].map((part) => matrixOf(fixture.tensors, `${stem}.vera_lambda_${part}`)) as [
          number[][],
          number[][],
        ]
        const x = inputOf(module)
        const inner = A.map((row, r) => d![r]! * x.reduce((sum, value, i) => sum + value * row[i]!, 0))
        const { weight, bias } = baseOf(layer, module)
        const expected = affine(weight, x, bias).map((y, o) => {
          return y + b![o]! * inner.reduce((sum, value, r) => sum + value * B[o]![r]!, 0)
        })
        expect(difference(adapted(weights, layer, module, x), expected)).toBeLessThan(1e-5)
      }
    }
    expect(description).toMatchObject({ method: 'vera', rank: RANK })
    const downs = new Set(weights.branches.map(({ down }) => down))
    expect(downs.size).toBe(2)
  })

  it('is refused by tensor or field', async () => {
    await expectRefused(vera({ save_projection: false }), 'unsupported_adapter', '"save_projection"')
    const without = vera()
    delete without.tensors['base_model.vera_B']
    await expectRefused(without, 'unsupported_adapter', 'base_model.vera_B')
    const narrow = vera()
    narrow.tensors['base_model.vera_A'] = { shape: [RANK, 8] }
    await expectRefused(narrow, 'base_mismatch', 'base_model.vera_A')
    const other = vera()
    const name = `base_model.model.${modulePath(1, 'v_proj')}.vera_lambda_b`
    other.tensors[name] = { shape: [5] }
    await expectRefused(other, 'base_mismatch', name)
    await expectRefused(vera({ r: 4 }), 'invalid_adapter', 'vera_A')
    await expectRefused(vera({ target_modules: ['q_proj'] }), 'invalid_adapter', 'does not select')
    const nan = vera()
    nan.tensors['base_model.vera_B'] = { shape: [8, RANK], values: [NaN] }
    await expectRefused(nan, 'invalid_adapter', 'vera_B" has NaN')
  })
})
