import { describe, expect, it } from 'vitest'
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
import { expectRefused, modulePath, readFixture, tinyBottleneck } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const MODULES: ModuleName[] = ['k_proj', 'v_proj', 'up_proj', 'down_proj']

/** A LoRA or (IA)³ of AdapterHub on keys, values, and both ends of the MLP. */
function lora(mode: 'add' | 'scale', inner: object = {}): AdapterFixture {
  const rank = mode === 'add' ? 2 : 1
  const tensors: AdapterFixture['tensors'] = {}
  let seed = 40
  for (const layer of [0, 1]) {
    for (const module of MODULES) {
      const [inDim, outDim] = tinyInfo().linear[module]!
      const stem = `${modulePath(layer, module)}.loras.tone`
      if (mode === 'add') tensors[`${stem}.lora_A`] = { shape: [rank, inDim], values: noise(seed++, rank * inDim) }
      tensors[`${stem}.lora_B`] = { shape: [outDim, rank], values: noise(seed++, rank * outDim) }
    }
  }
  const config = {
    architecture: 'lora',
    alpha: 3,
    attn_matrices: ['k', 'v'],
    composition_mode: mode,
    dropout: 0,
    dtype: null,
    init_weights: 'lora',
    intermediate_lora: true,
    leave_out: [],
    output_lora: true,
    r: rank,
    selfattn_lora: true,
    use_dora: false,
    use_gating: false,
    vera_b: null,
    vera_d: null,
    ...inner,
  }
  return { config: { ...tinyBottleneck().config, config }, tensors }
}

/** The same on the modules alone that one of the flags stands for in the library's wrapping of Llama and Mistral. */
function crossed(flag: 'intermediate_lora' | 'output_lora', module: ModuleName): AdapterFixture {
  const fixture = lora('scale', { selfattn_lora: false, intermediate_lora: false, output_lora: false, [flag]: true })
  for (const name of Object.keys(fixture.tensors)) if (!name.includes(`.${module}.`)) delete fixture.tensors[name]
  return fixture
}

describe('a LoRA of AdapterHub', () => {
  it.each([
    ['intermediate_lora', 'down_proj'],
    ['output_lora', 'up_proj'],
  ] as const)('on a Llama has with %s alone the module %s', async (flag, module) => {
    const { description } = await readFixture(crossed(flag, module))
    expect(description.sites).toEqual([`layers.0.${module}`, `layers.1.${module}`])
    const other = module === 'down_proj' ? 'up_proj' : 'down_proj'
    await expectRefused(crossed(flag, other), 'invalid_adapter', 'that it does not select')
  })

  it.each([
    ['add', 'lora'],
    ['scale', 'ia3'],
  ] as const)('that %ss is of the method %s', async (mode, method) => {
    const fixture = lora(mode)
    const { weights, description } = await readFixture(fixture)
    for (const layer of [0, 1]) {
      for (const module of MODULES) {
        const stem = `${modulePath(layer, module)}.loras.tone`
        const { weight, bias } = baseOf(layer, module)
        const B = matrixOf(fixture.tensors, `${stem}.lora_B`)
        const x = inputOf(module)
        const expected =
          mode === 'scale'
            ? affine(weight, x, bias).map((y, o) => y * 3 * B[o]![0]!)
            : affine(
                combine(weight, multiply(B, matrixOf(fixture.tensors, `${stem}.lora_A`)), (w, d) => w + 1.5 * d),
                x,
                bias,
              )
        expect(difference(adapted(weights, layer, module, x), expected)).toBeLessThan(1e-5)
      }
    }
    expect(description).toMatchObject({ method, rank: mode === 'add' ? 2 : 0, bytes: weights.bytes })
    expect(description.sites).toHaveLength(8)
  })

  it('may leave out layers', async () => {
    const fixture = lora('add', { leave_out: [0] })
    for (const name of Object.keys(fixture.tensors)) if (name.includes('layers.0')) delete fixture.tensors[name]
    expect((await readFixture(fixture)).weights.branches.every(({ layer }) => layer === 1)).toBe(true)
    await expectRefused(lora('add', { leave_out: [0] }), 'invalid_adapter', 'does not select')
  })

  it.each([
    [{ use_gating: true }, 'use_gating'],
    [{ use_dora: true }, 'use_dora'],
    [{ vera_d: 0.1 }, 'vera_d'],
    [{ composition_mode: 'mix' }, 'composition_mode'],
    [{ attn_matrices: ['k', 'o'] }, 'attn_matrices'],
  ])('with %j is refused', async (inner, field) => {
    await expectRefused(lora('add', inner), 'unsupported_adapter', `"${field}"`)
  })

  it('is refused by tensor or field', async () => {
    await expectRefused(lora('scale', { r: 2 }), 'invalid_adapter', '"r"')
    await expectRefused(lora('add', { r: 3 }), 'invalid_adapter', 'lora_B')
    await expectRefused(lora('add', { output_lora: false }), 'invalid_adapter', 'does not select')
    await expectRefused(lora('add', { attn_matrices: ['q', 'k', 'v'] }), 'invalid_adapter', 'layers.0.q_proj')
    await expectRefused(lora('add'), 'base_mismatch', 'ends at layer 1', tinyInfo({ layers: 3 }))
    const half = lora('add')
    delete half.tensors[`${modulePath(0, 'k_proj')}.loras.tone.lora_A`]
    await expectRefused(half, 'invalid_adapter', 'no lora_A beside it')
    const other = lora('add')
    other.tensors[`${modulePath(0, 'k_proj')}.loras.tune.lora_A`] = { shape: [2, 8] }
    await expectRefused(other, 'invalid_adapter', 'not of the adapter "tone"')
    const gate = lora('add')
    gate.tensors[`${modulePath(0, 'k_proj')}.loras.tone.gate.weight`] = { shape: [1, 8] }
    await expectRefused(gate, 'unsupported_adapter', 'gate.weight')
    const wide = lora('scale')
    wide.tensors[`${modulePath(0, 'k_proj')}.loras.tone.lora_B`] = { shape: [5, 1] }
    await expectRefused(wide, 'base_mismatch', 'k_proj.loras.tone.lora_B')
  })
})
