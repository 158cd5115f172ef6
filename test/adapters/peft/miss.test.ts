import { describe, expect, it } from 'vitest'
import { expectRefused, readFixture, tinyTuner } from '../../support/tiny-adapters.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'

/** For a layer of 8 inputs: 3 does not divide them. */
const RANK = 3

function miss(config: object = {}, width: number | null = null): AdapterFixture {
  const own = { peft_type: 'MISS', r: RANK, mini_r: 1, init_weights: true, miss_dropout: 0.1, ...config }
  return tinyTuner(own, ['q_proj'], ([, outDim]) => ({ miss_block: [RANK, width ?? outDim] }))
}

describe('a MiSS becomes branches', () => {
  it('that add up every third input, and multiply the sums by the block', async () => {
    const fixture = miss()
    const { weights, description } = await readFixture(fixture)
    const [branch] = weights.branches
    expect(branch).toMatchObject({ kind: 'q_proj', rank: RANK, scale: 1, a: null, c: null })
    expect([...branch!.down]).toEqual(Array.from({ length: RANK * 8 }, (_, at) => Number((at % 8) % RANK === Math.floor(at / 8)))) // prettier-ignore
    expect([...branch!.up]).toEqual(Array.from(Object.values(fixture.tensors)[0]!.values!))
    expect(description).toMatchObject({ method: 'miss', rank: RANK })
  })

  it('with a narrow block side by side', async () => {
    const fixture = miss({ init_weights: 'mini', mini_r: 4 }, 4)
    const { weights } = await readFixture(fixture)
    const block = Array.from(Object.values(fixture.tensors)[0]!.values!)
    const rows = [0, 1, 2].map((j) => block.slice(4 * j, 4 * j + 4))
    expect([...weights.branches[0]!.up]).toEqual(rows.flatMap((row) => [...row, ...row]))
  })

  it('but not where it multiplies the base model’s weight, or does not fit', async () => {
    await expectRefused(miss({ init_weights: 'bat' }), 'unsupported_adapter', '"init_weights" is "bat"')
    await expectRefused(miss({ r: 2 }), 'invalid_adapter', 'miss_block')
    await expectRefused(miss({}, 5), 'base_mismatch', 'miss_block')
    await expectRefused(miss({ init_weights: 'mini', mini_r: 5 }, 5), 'base_mismatch', 'miss_block')
  })
})
