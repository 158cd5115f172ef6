import { describe, expect, it } from 'vitest'
import { readAdapter } from '../../../src/adapters/read.ts'
import type { TokenRows } from '../../../src/core/branch.ts'
import { join } from 'node:path'
import { temporaryFolder } from '../../support/model-folder.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { TINY_BASE, expectRefused, tinyLora, writeAdapter } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const { vocab, hidden } = tinyInfo()
const EMBED = 'base_model.model.model.embed_tokens'
const HEAD = 'base_model.model.lm_head'

/** The base model's own rows, with some others in their place and some more. */
function rowsOf(kind: 'embed_tokens' | 'lm_head', changed: Readonly<Record<number, number>>, more = 0): number[] {
  const values = new Float32Array(vocab * hidden)
  TINY_BASE.rows(0, kind).readRows(values, 0)
  const rows = [...values, ...noise(77, more * hidden)]
  for (const [row, value] of Object.entries(changed)) rows.fill(value, Number(row) * hidden, (Number(row) + 1) * hidden)
  return rows
}

function withRows(changes: object, tensors: AdapterFixture['tensors']): AdapterFixture {
  const fixture = tinyLora(['q_proj'])
  return { config: { ...fixture.config, ...changes }, tensors: { ...fixture.tensors, ...tensors } }
}

async function read(fixture: AdapterFixture, tied = false): Promise<TokenRows | null> {
  const dir = writeAdapter(join(await temporaryFolder(), 'adapter'), fixture)
  return readAdapter(dir, tinyInfo(), { ...TINY_BASE, tiedHead: () => tied }).weights.tokenRows
}

function bfloat16(values: readonly number[]): Uint16Array {
  return Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), (bits) => (bits + 0x8000) >>> 16)
}

const row = (values: Float32Array | null | undefined, index: number): number[] => [
  ...values!.subarray(index * hidden, (index + 1) * hidden),
]
const filled = (value: number): number[] => Array.from({ length: hidden }, () => value)

describe('rows of trained tokens', () => {
  const delta = { shape: [2, hidden], values: [...filled(0.5), ...filled(0.25)] }

  it('stand for the embedding’s in the order of their ids, and for the head’s where it is the same matrix', async () => {
    const fixture = withRows(
      { trainable_token_indices: [9, 5] },
      { [`${EMBED}.token_adapter.trainable_tokens_delta`]: delta },
    )
    const rows = await read(fixture)
    expect([[...rows!.ids], rows!.head]).toEqual([[5, 9], null])
    expect([row(rows!.embed, 0), row(rows!.embed, 1)]).toEqual([filled(0.25), filled(0.5)])
    const tied = await read(fixture, true)
    expect(tied!.head).toEqual(tied!.embed)
  })

  it('may be listed per module; where only one has a row, the other keeps its own', async () => {
    const rows = await read(
      withRows(
        { trainable_token_indices: { embed_tokens: [5, 9], lm_head: [9, 11] } },
        {
          [`${EMBED}.token_adapter.trainable_tokens_delta`]: delta,
          [`${HEAD}.token_adapter.trainable_tokens_delta`]: delta,
        },
      ),
    )
    expect([...rows!.ids]).toEqual([5, 9, 11])
    expect(row(rows!.embed, 2)).toEqual(
      rowsOf('embed_tokens', {})
        .slice(11 * hidden, 12 * hidden)
        .map(Math.fround),
    )
    expect(row(rows!.head, 0)).toEqual(
      rowsOf('lm_head', {})
        .slice(5 * hidden, 6 * hidden)
        .map(Math.fround),
    )
    expect([row(rows!.head, 1), row(rows!.head, 2)]).toEqual([filled(0.5), filled(0.25)])
  })

  it('may be all there is', async () => {
    const config = { peft_type: 'TRAINABLE_TOKENS', target_modules: ['embed_tokens'], token_indices: [3, 4] }
    const tensors = { [`${EMBED}.trainable_tokens_delta`]: delta }
    const rows = await read({ config, tensors })
    expect([...rows!.ids]).toEqual([3, 4])
  })

  it('are refused by tensor or field', async () => {
    const tensors = { [`${EMBED}.token_adapter.trainable_tokens_delta`]: delta }
    await expectRefused(withRows({}, tensors), 'invalid_adapter', '"trainable_token_indices"')
    await expectRefused(withRows({ trainable_token_indices: [1] }, tensors), 'base_mismatch', 'for 1 tokens')
    await expectRefused(withRows({ trainable_token_indices: [1, 1] }, tensors), 'base_mismatch', 'for 2 tokens')
    await expectRefused(withRows({ trainable_token_indices: ['a'] }, tensors), 'invalid_adapter', 'a list of token ids')
    await expectRefused(
      withRows({ trainable_token_indices: [1, vocab + 1] }, tensors),
      'base_mismatch',
      'without a gap',
    )
    const layer = { ['base_model.model.model.norm.trainable_tokens_delta']: delta }
    await expectRefused(withRows({ trainable_token_indices: [1, 2] }, layer), 'unsupported_adapter', 'model.norm')
  })
})

describe('embedding and head saved whole', () => {
  it('count by the rows that differ', async () => {
    const whole = { shape: [vocab, hidden], values: rowsOf('lm_head', { 7: 2 }) }
    const rows = await read(withRows({ modules_to_save: ['lm_head'] }, { [`${HEAD}.weight`]: whole }))
    expect([[...rows!.ids], rows!.embed, row(rows!.head, 0)]).toEqual([[7], null, filled(2)])
    const same = { shape: [vocab, hidden], values: rowsOf('lm_head', {}) }
    expect(await read(withRows({ modules_to_save: ['lm_head'] }, { [`${HEAD}.weight`]: same }))).toBeNull()
  })

  it('may have more rows: these are new tokens', async () => {
    const [embed, head] = (['embed_tokens', 'lm_head'] as const).map((kind) => {
      return { shape: [vocab + 2, hidden], values: rowsOf(kind, {}, 2) }
    }) as [{ shape: number[]; values: number[] }, { shape: number[]; values: number[] }]
    const rows = await read(withRows({}, { [`${EMBED}.weight`]: embed, [`${HEAD}.weight`]: head }))
    expect([...rows!.ids]).toEqual([vocab, vocab + 1])
    expect([...rows!.embed!]).toEqual([...noise(77, 2 * hidden)].map(Math.fround))
    expect(rows!.head).toEqual(rows!.embed)
    const tied = await read(withRows({}, { [`${EMBED}.weight`]: embed }), true)
    expect(tied!.head).toEqual(tied!.embed)
    // Where the embedding alone was trained whole, PEFT parts it from the head.
    const apart = await read(withRows({ modules_to_save: ['embed_tokens'] }, { [`${EMBED}.weight`]: embed }), true)
    expect(apart!.head).toBeNull()
  })

  it('are copies though rounded to the type they were saved in', async () => {
    const bits = bfloat16(rowsOf('embed_tokens', {}))
    const copy = { shape: [vocab, hidden], bits, dtype: 'BF16' }
    expect(await read(withRows({}, { [`${EMBED}.base_layer.weight`]: copy }))).toBeNull()
    const other = { ...copy, bits: bits.map((value, i) => (i === 3 ? value + 2 : value)) }
    expect([...(await read(withRows({}, { [`${EMBED}.base_layer.weight`]: other })))!.ids]).toEqual([0])
  })

  it('are refused where they are another model’s, or not finite', async () => {
    const narrow = { shape: [vocab, 4], values: noise(1, vocab * 4) }
    await expectRefused(withRows({}, { [`${EMBED}.weight`]: narrow }), 'base_mismatch', 'from 32 to 4128 rows of 8')
    const fewer = { shape: [vocab - 1, hidden], values: noise(1, (vocab - 1) * hidden) }
    await expectRefused(withRows({}, { [`${HEAD}.weight`]: fewer }), 'base_mismatch', '[31, 8]')
    const broken = { shape: [vocab, hidden], values: rowsOf('embed_tokens', { 3: Infinity }) }
    await expectRefused(withRows({}, { [`${EMBED}.weight`]: broken }), 'invalid_adapter', 'row of token 3')
    const onlyHead = { shape: [vocab + 1, hidden], values: rowsOf('lm_head', {}, 1) }
    await expectRefused(
      withRows({}, { [`${HEAD}.weight`]: onlyHead }),
      'base_mismatch',
      'the embedding in the file does not',
    )
  })
})
