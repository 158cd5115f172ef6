import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inspectAdapter } from '../../../src/adapters/read.ts'
import type { Branch } from '../../../src/core/branch.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import { temporaryFolder } from '../../support/model-folder.ts'
import { expectRefusal } from '../../support/refusal.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { readTiny, tinyBottleneck, writeAdapter } from '../../support/tiny-adapters.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const OUTPUT = 'model.layers.1.output_adapters.adapters.tone'

async function write(fixture: AdapterFixture): Promise<string> {
  return writeAdapter(join(await temporaryFolder(), 'adapter'), fixture)
}

async function branches(fixture: AdapterFixture): Promise<readonly Branch[]> {
  return readTiny(await write(fixture)).weights.branches
}

async function expectRefused(fixture: AdapterFixture, code: ErrorCode, text: string): Promise<void> {
  const dir = await write(fixture)
  expectRefusal(() => readTiny(dir), code, text)
}

function withOuter(changes: object, fixture = tinyBottleneck()): AdapterFixture {
  return { ...fixture, config: { ...fixture.config, ...changes } }
}

describe('a bottleneck becomes branches', () => {
  it('down and both biases as they are, up transposed', async () => {
    const fixture = tinyBottleneck({ scaling: 2.5 })
    const dir = await write(fixture)
    const { weights, description } = readTiny(dir)
    const branch = weights.branches[1]!
    const tensor = (part: string): number[] => Array.from(fixture.tensors[`${OUTPUT}.${part}`]!.values!)
    const up = tensor('adapter_up.weight')
    expect(branch).toMatchObject({ layer: 1, kind: 'mlp_stream', rank: 2, scale: 2.5, activation: 'relu' })
    expect([...branch.down]).toEqual(tensor('adapter_down.0.weight'))
    expect([...branch.a!]).toEqual(tensor('adapter_down.0.bias'))
    expect([...branch.up]).toEqual([0, 1].flatMap((r) => Array.from({ length: 8 }, (_, o) => up[o * 2 + r]!)))
    expect([...branch.c!]).toEqual(tensor('adapter_up.bias'))
    expect(description).toEqual({
      format: 'adapterhub',
      method: 'bottleneck',
      rank: 2,
      sites: ['layers.0.mlp_stream', 'layers.1.mlp_stream'],
      virtualTokens: 0,
      tokens: null,
      parameters: 2 * (16 + 2 + 16 + 8),
      bytes: 4 * 2 * (16 + 2 + 16 + 8),
      baseModel: 'fixtures/tiny',
      warnings: [],
    })
    expect(inspectAdapter(dir)).toMatchObject({ description, digest: weights.digest })
  })

  it.each([
    ['Pfeiffer', {}, ['mlp_stream']],
    ['Houlsby', { mh_adapter: true, original_ln_before: false }, ['attn_out', 'mlp_out']],
    ['parallel', { is_parallel: true, original_ln_before: false }, ['mlp_in']],
    [
      'parallel, whatever the flags of the sequential form',
      { is_parallel: true, residual_before_ln: false },
      ['mlp_in'],
    ],
    [
      'reading the output, residual flag either way',
      { original_ln_before: false, residual_before_ln: false },
      ['mlp_out'],
    ],
    ['with the residual added by the module', { original_ln_after: false, residual_before_ln: false }, ['mlp_stream']],
  ])('%s reads where the formula says', async (_, inner, kinds) => {
    const read = await branches(tinyBottleneck(inner))
    expect(read.filter((branch) => branch.layer === 0).map((branch) => branch.kind)).toEqual(kinds)
  })

  it.each([
    ['swish', 'silu'],
    ['GELU', 'gelu'],
    ['gelu_new', 'gelu_tanh'],
    ['leakyrelu', 'leaky_relu'],
    ['linear', 'identity'],
    ['relu2', 'relu2'],
    ['relu6', 'relu6'],
    ['quick_gelu', 'quick_gelu'],
    ['gelu_10', 'gelu_clipped'],
    ['mish', 'mish'],
    ['laplace', 'laplace'],
    ['tanh', 'tanh'],
    ['sigmoid', 'sigmoid'],
  ])('%s is %s', async (name, activation) => {
    expect((await branches(tinyBottleneck({ non_linearity: name })))[0]!.activation).toBe(activation)
  })

  it('a learned scaling multiplies up and its bias, one value or one per channel', async () => {
    const plain = (await branches(tinyBottleneck()))[1]!
    for (const [scaling, gain] of [
      ['learned', [3]],
      ['channel', [1, 2, 3, 4, 5, 6, 7, 8]],
    ] as const) {
      const fixture = tinyBottleneck({ scaling })
      for (const layer of [0, 1]) {
        const name = `${OUTPUT.replace('layers.1', `layers.${layer}`)}.scaling`
        fixture.tensors[name] = { shape: [gain.length], values: gain }
      }
      const branch = (await branches(fixture))[1]!
      const factor = (column: number): number => gain[gain.length === 1 ? 0 : column]!
      expect(branch.scale).toBe(1)
      expect([...branch.up]).toEqual(Array.from(plain.up, (x, i) => Math.fround(x * factor(i % 8))))
      expect([...branch.c!]).toEqual(Array.from(plain.c!, (x, i) => Math.fround(x * factor(i))))
      expect([...branch.a!]).toEqual([...plain.a!])
    }
  })

  it('sizes by layer, layers left out, and a bare base model', async () => {
    const fixture = tinyBottleneck({ reduction_factor: { '0': 2.5, default: 4 } })
    const first = OUTPUT.replace('layers.1', 'layers.0')
    fixture.tensors[`${first}.adapter_down.0.weight`] = { shape: [3, 8] }
    fixture.tensors[`${first}.adapter_down.0.bias`] = { shape: [3] }
    fixture.tensors[`${first}.adapter_up.weight`] = { shape: [8, 3] }
    expect((await branches(fixture)).map((branch) => branch.rank)).toEqual([3, 2])

    const partial = tinyBottleneck({ leave_out: [0] })
    for (const name of Object.keys(partial.tensors)) if (name.includes('layers.0')) delete partial.tensors[name]
    const bare = Object.entries(partial.tensors).map(([name, tensor]) => [name.replace('model.', ''), tensor] as const)
    const read = await branches({ config: partial.config, tensors: Object.fromEntries(bare) })
    expect(read.map((branch) => branch.layer)).toEqual([1])
  })

  it('divides as Python does: 8 // 0.8 is 9', async () => {
    const fixture = tinyBottleneck({ reduction_factor: 0.8 })
    await expectRefused(fixture, 'invalid_adapter', 'gives [9, 8]')
  })
})

describe('what branches cannot express is refused by field', () => {
  const inner: Record<string, unknown> = {
    ln_before: true,
    ln_after: true,
    use_gating: true,
    phm_layer: true,
    inv_adapter: 'nice',
    cross_adapter: true,
    architecture: 'reft',
    non_linearity: 'prelu',
    prototypes: 4,
  }
  for (const [field, value] of Object.entries(inner)) {
    it(field, () => expectRefused(tinyBottleneck({ [field]: value }), 'unsupported_adapter', `"${field}"`))
  }

  it('a residual stream added twice or not at all', async () => {
    await expectRefused(tinyBottleneck({ residual_before_ln: false }), 'unsupported_adapter', 'twice')
    await expectRefused(tinyBottleneck({ original_ln_after: false }), 'unsupported_adapter', 'not at all')
    const parallel = tinyBottleneck({ is_parallel: true, original_ln_after: false, residual_before_ln: false })
    await expectRefused(parallel, 'unsupported_adapter', 'not at all')
    await expectRefused(tinyBottleneck({ residual_before_ln: 'post_add' }), 'invalid_adapter', 'residual_before_ln')
  })

  it('files of releases whose names meant something else', async () => {
    await expectRefused(withOuter({ version: '3.2.1' }), 'unsupported_adapter', '"version"')
    await expectRefused(withOuter({ version: undefined }), 'unsupported_adapter', '"version" is missing')
  })

  it.each([
    'model.invertible_adapters.tone.F.0.weight',
    'model.shared_parameters.tone.phm_rule',
    'model.prefix_tuning.tone.wte.weight',
    'heads.default.1.weight',
    `${OUTPUT}.gate.weight`,
    `${OUTPUT}.adapter_norm_after.weight`,
    `${OUTPUT}.adapter_down.1.weight`,
  ])('the tensor %s', async (name) => {
    const fixture = tinyBottleneck()
    fixture.tensors[name] = { shape: [8] }
    await expectRefused(fixture, 'unsupported_adapter', name)
  })
})

describe('a broken bottleneck is refused by tensor or field', () => {
  const cases: Record<string, [(fixture: AdapterFixture) => unknown, ErrorCode, string]> = {
    'a bias is missing': [(f) => delete f.tensors[`${OUTPUT}.adapter_up.bias`], 'invalid_adapter', 'adapter_up.bias'],
    'another size than the configuration gives': [
      (f) => (f.tensors[`${OUTPUT}.adapter_down.0.weight`] = { shape: [4, 8] }),
      'invalid_adapter',
      'gives [2, 8]',
    ],
    'another width': [
      (f) => (f.tensors[`${OUTPUT}.adapter_down.0.weight`] = { shape: [2, 9] }),
      'invalid_adapter',
      '9 channels',
    ],
    'not a number': [
      (f) => (f.tensors[`${OUTPUT}.adapter_up.bias`] = { shape: [8], values: [0, 0, NaN] }),
      'invalid_adapter',
      'adapter_up.bias" has NaN at element 2',
    ],
    'the tensors of another adapter': [
      (f) => (f.tensors[`${OUTPUT}2.adapter_up.bias`] = { shape: [8] }),
      'invalid_adapter',
      'tone2.adapter_up.bias',
    ],
    'a scaling tensor beside a number': [
      (f) => (f.tensors[`${OUTPUT}.scaling`] = { shape: [1] }),
      'invalid_adapter',
      'scaling',
    ],
    'a place that is switched off': [
      (f) => {
        for (const name of Object.keys(f.tensors)) {
          f.tensors[name.replace('output_adapters', 'attention_adapters')] = f.tensors[name]!
        }
      },
      'invalid_adapter',
      'attention_adapters',
    ],
    'no tensors': [
      (f) => Object.keys(f.tensors).forEach((name) => delete f.tensors[name]),
      'invalid_adapter',
      'no tensors',
    ],
  }
  for (const [what, [change, code, text]] of Object.entries(cases)) {
    it(what, async () => {
      const fixture = tinyBottleneck()
      change(fixture)
      await expectRefused(fixture, code, text)
    })
  }

  it('fields of the wrong kind', async () => {
    await expectRefused(tinyBottleneck({ scaling: 'big' }), 'invalid_adapter', '"scaling"')
    await expectRefused(tinyBottleneck({ scaling: 'learned' }), 'invalid_adapter', 'no tensor scaling')
    await expectRefused(tinyBottleneck({ reduction_factor: -2 }), 'invalid_adapter', '"reduction_factor"')
    await expectRefused(tinyBottleneck({ reduction_factor: { '0': 4 } }), 'invalid_adapter', 'layer 1')
    await expectRefused(tinyBottleneck({ output_adapter: false }), 'invalid_adapter', '"output_adapter"')
    await expectRefused(withOuter({ config: [], peft: 1 }), 'unsupported_adapter', '"peft"')
    await expectRefused(withOuter({ name: '' }), 'invalid_adapter', '"name"')
  })

  it('another base model', async () => {
    const dir = await write(tinyBottleneck())
    expectRefusal(() => readTiny(dir, tinyInfo({ family: 'qwen2' })), 'base_mismatch', '"model_type"')
    expectRefusal(() => readTiny(dir, tinyInfo({ hidden: 16 })), 'base_mismatch', '"hidden_size"')
    expectRefusal(() => readTiny(dir, tinyInfo({ layers: 1 })), 'base_mismatch', 'layers.1')
    expectRefusal(() => readTiny(dir, tinyInfo({ layers: 4 })), 'base_mismatch', 'ends at layer 1')
  })
})
