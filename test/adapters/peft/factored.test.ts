import { describe, expect, it } from 'vitest'
import type { Matrix } from '../../support/linear-reference.ts'
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

const MODULES: ModuleName[] = ['q_proj', 'up_proj']

function loha(config: object = {}, rank = 2): AdapterFixture {
  const all = { peft_type: 'LOHA', r: rank, alpha: 3, ...config }
  return tinyTuner(all, MODULES, ([inDim, outDim]) => ({
    hada_w1_a: [outDim, rank],
    hada_w1_b: [rank, inDim],
    hada_w2_a: [outDim, rank],
    hada_w2_b: [rank, inDim],
  }))
}

/** W₁ of `[4, 2]` for the first factor; W₂ fills up the module's sizes. */
function lokr(whole: readonly ('w1' | 'w2')[], config: object = {}): AdapterFixture {
  const all = { peft_type: 'LOKR', r: 1, alpha: 3, ...config }
  return tinyTuner(all, MODULES, ([inDim, outDim]) => {
    const shapes = { w1: [4, 2], w2: [outDim / 4, inDim / 2] } as const
    return Object.fromEntries(
      (['w1', 'w2'] as const).flatMap((name): [string, readonly number[]][] => {
        const [rows, columns] = shapes[name]
        if (whole.includes(name)) return [[`lokr_${name}`, [rows, columns]]]
        return [
          [`lokr_${name}_a`, [rows, 1]],
          [`lokr_${name}_b`, [1, columns]],
        ]
      }),
    )
  })
}

function kronecker(a: Matrix, b: Matrix): number[][] {
  return a.flatMap((rowA) => b.map((rowB) => rowA.flatMap((x) => rowB.map((y) => x * y))))
}

async function expectUpdate(
  fixture: AdapterFixture,
  scale: number,
  delta: (tensor: (part: string) => Matrix) => Matrix,
) {
  const { weights, description } = await readFixture(fixture)
  expect(description.bytes).toBe(weights.bytes)
  for (const layer of [0, 1]) {
    for (const module of MODULES) {
      const update = delta((part) => matrixOf(fixture.tensors, `base_model.model.${modulePath(layer, module)}.${part}`))
      const { weight, bias } = baseOf(layer, module)
      const x = inputOf(module)
      const expected = affine(
        combine(weight, update, (w, d) => w + scale * d),
        x,
        bias,
      )
      expect(difference(adapted(weights, layer, module, x), expected)).toBeLessThan(1e-5)
    }
  }
  return description
}

describe('a LoHa', () => {
  it.each([
    [{}, 1.5],
    [{ use_khatri_rao: true, alpha: 4 }, 2],
  ])('is the elementwise product of two products: %j', async (config, scale) => {
    const fixture = loha(config)
    const description = await expectUpdate(fixture, scale, (tensor) => {
      const [a1, b1, a2, b2] = ['w1_a', 'w1_b', 'w2_a', 'w2_b'].map((part) => tensor(`hada_${part}`))
      return combine(multiply(a1!, b1!), multiply(a2!, b2!), (x, y) => x * y)
    })
    expect(description).toMatchObject({ method: 'loha', rank: 4, parameters: 2 * 2 * 2 * (16 + 24) })
  })

  it('is refused by tensor or field', async () => {
    await expectRefused(loha({}, 3), 'unsupported_adapter', 'has the rank 9, the weight itself only 8')
    const missing = loha()
    delete missing.tensors[`base_model.model.${modulePath(1, 'q_proj')}.hada_w2_b`]
    await expectRefused(missing, 'invalid_adapter', 'no hada_w2_b beside it')
    const uneven = loha()
    const name = `base_model.model.${modulePath(1, 'q_proj')}.hada_w2_b`
    uneven.tensors[name] = { shape: [2, 7] }
    await expectRefused(uneven, 'invalid_adapter', name)
    await expectRefused(loha({ r: 4 }), 'invalid_adapter', 'hada_w1_a')
    await expectRefused(loha({ target_modules: null }), 'invalid_adapter', '"target_modules"')
    const tucker = loha()
    tucker.tensors[`base_model.model.${modulePath(1, 'q_proj')}.hada_t1`] = { shape: [2, 2, 1, 1] }
    await expectRefused(tucker, 'unsupported_adapter', 'hada_t1')
  })
})

describe('a LoKr', () => {
  it.each([
    [['w1'], 2],
    [['w2'], 4],
    [['w1', 'w2'], 8],
    [[], 1],
  ] as [('w1' | 'w2')[], number][])('is a Kronecker product, with %j whole', async (whole, rank) => {
    const description = await expectUpdate(lokr(whole), 3, (tensor) => {
      const [w1, w2] = (['w1', 'w2'] as const).map((name) => {
        return whole.includes(name)
          ? tensor(`lokr_${name}`)
          : multiply(tensor(`lokr_${name}_a`), tensor(`lokr_${name}_b`))
      })
      return kronecker(w1!, w2!)
    })
    expect(description).toMatchObject({ method: 'lokr', rank })
  })

  it('is refused by tensor or field', async () => {
    const both = lokr(['w1'])
    both.tensors[`base_model.model.${modulePath(0, 'q_proj')}.lokr_w1_a`] = { shape: [4, 1] }
    await expectRefused(both, 'invalid_adapter', 'are for the same place')
    const none = lokr([])
    delete none.tensors[`base_model.model.${modulePath(0, 'q_proj')}.lokr_w2_a`]
    await expectRefused(none, 'invalid_adapter', 'no lokr_w2_a beside it')
    const wide = lokr(['w1', 'w2'])
    wide.tensors[`base_model.model.${modulePath(0, 'q_proj')}.lokr_w2`] = { shape: [2, 5] }
    await expectRefused(wide, 'base_mismatch', 'maps 8 to 8 values')
  })
})
