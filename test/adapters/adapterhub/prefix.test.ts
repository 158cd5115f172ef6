import { describe, expect, it } from 'vitest'
import { affine, difference, matrixOf } from '../../support/linear-reference.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { expectRefused, readFixture, tinyBottleneck } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const COUNT = 3
const BOTTLENECK = 5
/** Keys and values of 2 layers with one head of 4. */
const WIDTH = 2 * 2 * 4
const PLACES = ['model.prefix_tuning', ...[0, 1].map((layer) => `model.layers.${layer}.self_attn.prefix_tuning.pool`)]
const PARTS = {
  'wte.weight': [COUNT, 8],
  'control_trans.0.weight': [BOTTLENECK, 8],
  'control_trans.0.bias': [BOTTLENECK],
  'control_trans.2.weight': [WIDTH, BOTTLENECK],
  'control_trans.2.bias': [WIDTH],
} as const
const FLAT = { control_trans: [COUNT * WIDTH] } as const

function nameOf(place: string, part: string): string {
  return `${place}.prefix_tunings.tone.self_prefix.${part}`
}

function prefix(inner: Readonly<Record<string, unknown>> = {}): AdapterFixture {
  const tensors: AdapterFixture['tensors'] = {}
  for (const place of PLACES) {
    let seed = 20
    for (const [part, shape] of Object.entries(inner['flat'] === true ? FLAT : PARTS)) {
      const count = shape.reduce((product: number, size) => product * size, 1)
      tensors[nameOf(place, part)] = { shape, values: noise(seed++, count) }
    }
  }
  const config = {
    architecture: 'prefix_tuning',
    bottleneck_size: BOTTLENECK,
    cross_prefix: true,
    dropout: 0,
    encoder_prefix: true,
    flat: false,
    leave_out: [],
    non_linearity: 'tanh',
    prefix_length: COUNT,
    shared_gating: true,
    use_gating: false,
    ...inner,
  }
  return { config: { ...tinyBottleneck().config, config }, tensors }
}

/** Keys, then values, of all layers as one list: the tokens of `[token, layer, which, dimension]` come last but one. */
async function keysValues(fixture: AdapterFixture): Promise<number[]> {
  const { weights, description } = await readFixture(fixture)
  const { virtualTokens } = weights
  expect(virtualTokens).toMatchObject({ type: 'keys_values', count: COUNT, usePositions: false })
  expect(description).toMatchObject({ method: 'prefix_tuning', virtualTokens: COUNT, bytes: 4 * COUNT * WIDTH })
  if (virtualTokens?.type !== 'keys_values') throw new Error('no keys and values')
  return virtualTokens.layers.flatMap(({ keys, values }) => [...keys, ...values])
}

function byLayer(flat: readonly (readonly number[])[]): number[] {
  return [0, 1, 2, 3].flatMap((part) => flat.flatMap((token) => token.slice(part * 4, part * 4 + 4)))
}

describe('a prefix of AdapterHub', () => {
  it('is what its network gives', async () => {
    const functions: Record<string, (x: number) => number> = {
      tanh: Math.tanh,
      relu: (x) => Math.max(0, x),
      swish: (x) => x / (1 + Math.exp(-x)),
      gelu_new: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
      leakyrelu: (x) => (x > 0 ? x : x / 100),
    }
    for (const [name, phi] of Object.entries(functions)) {
      const fixture = prefix({ non_linearity: name })
      const tensor = (part: string): ReturnType<typeof matrixOf> => matrixOf(fixture.tensors, nameOf(PLACES[0]!, part))
      const expected = tensor('wte.weight').map((row) => {
        const inner = affine(tensor('control_trans.0.weight'), row, tensor('control_trans.0.bias')[0]).map(phi)
        return affine(tensor('control_trans.2.weight'), inner, tensor('control_trans.2.bias')[0])
      })
      expect(difference(await keysValues(fixture), byLayer(expected))).toBeLessThan(1e-6)
    }
  })

  it('is what the file has when it is flat', async () => {
    const fixture = prefix({ flat: true })
    const [all] = matrixOf(fixture.tensors, nameOf(PLACES[0]!, 'control_trans'))
    const tokens = [0, 1, 2].map((token) => all!.slice(token * WIDTH, (token + 1) * WIDTH))
    expect(await keysValues(fixture)).toEqual(byLayer(tokens))
  })

  it('may be in the file once', async () => {
    const fixture = prefix({ flat: true })
    for (const place of PLACES.slice(1)) delete fixture.tensors[nameOf(place, 'control_trans')]
    expect(await keysValues(fixture)).toEqual(await keysValues(prefix({ flat: true })))
  })

  it.each([
    [{ use_gating: true }, 'use_gating'],
    [{ leave_out: [1] }, 'leave_out'],
    [{ non_linearity: 'gelu' }, 'non_linearity'],
    [{ non_linearity: 'prelu' }, 'non_linearity'],
  ])('with %j is refused', async (inner, field) => {
    await expectRefused(prefix(inner), 'unsupported_adapter', `"${field}"`)
  })

  it('is refused by tensor or field', async () => {
    const differing = prefix({ flat: true })
    const name = nameOf(PLACES[1]!, 'control_trans')
    differing.tensors[name] = { shape: [COUNT * WIDTH], values: noise(99, COUNT * WIDTH) }
    await expectRefused(differing, 'invalid_adapter', 'of which it should be a copy')
    const missing = prefix()
    delete missing.tensors[nameOf(PLACES[2]!, 'control_trans.0.bias')]
    await expectRefused(missing, 'invalid_adapter', 'no tensor control_trans.0.bias')
    const strange = prefix()
    strange.tensors[nameOf(PLACES[0]!, 'control_trans.4.bias')] = { shape: [1] }
    await expectRefused(strange, 'invalid_adapter', 'control_trans.4.bias')
    const crossed = prefix()
    crossed.tensors['model.prefix_tuning.prefix_tunings.tone.cross_prefix.wte.weight'] = { shape: [1] }
    await expectRefused(crossed, 'unsupported_adapter', 'cross_prefix')
    const other = prefix()
    other.tensors[nameOf(PLACES[0]!, 'wte.weight').replace('tone', 'tune')] = { shape: [1] }
    await expectRefused(other, 'invalid_adapter', 'not of the adapter "tone"')
    const wide = prefix()
    for (const place of PLACES) wide.tensors[nameOf(place, 'control_trans.2.bias')] = { shape: [WIDTH + 4] }
    await expectRefused(wide, 'base_mismatch', 'control_trans.2.bias')
    await expectRefused(prefix(), 'unsupported_adapter', '"architecture"', tinyInfo({ windowed: true }))
    await expectRefused(prefix({ prefix_length: 4 }), 'invalid_adapter', 'wte.weight')
    await expectRefused(prefix({ flat: true, prefix_length: 4 }), 'base_mismatch', 'control_trans')
  })
})
