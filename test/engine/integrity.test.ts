import { describe, expect, it } from 'vitest'
import { GREEDY } from '../../src/core/generation.ts'
import { Bank } from '../../src/engine/bank.ts'
import { checkBooks } from '../../src/engine/integrity.ts'
import type { PackedAdapter } from '../../src/engine/packed-adapter.ts'
import { packAdapter } from '../../src/engine/packed-adapter.ts'
import { Scheduler } from '../../src/engine/scheduler.ts'
import { Sequence } from '../../src/engine/sequence.ts'
import { fakeWeights } from '../support/fake-adapter.ts'
import { FAKE_INFO } from '../support/fake-host.ts'

/** A bank with one version pinned for one running sequence. */
function running(): { scheduler: Scheduler; bank: Bank; adapters: Map<string, PackedAdapter>; sequence: Sequence } {
  const weights = fakeWeights('d1', 1, 8)
  const [branch] = weights.branches
  const [inDim, outDim] = FAKE_INFO.linear.q_proj!
  const whole = { ...branch!, down: new Float32Array(inDim), up: new Float32Array(outDim) }
  const adapter = packAdapter({ ...weights, branches: [whole] }, FAKE_INFO)
  const bank = new Bank(FAKE_INFO, 1e6)
  const scheduler = new Scheduler({ slots: 2, prefillChunk: 4 })
  const request = { tokens: Int32Array.of(1, 2), mix: [{ digest: 'd1', scale: 1 }], sampling: GREEDY, maxTokens: 4 }
  const sequence = new Sequence(1, { ...request, stopTokens: [], logprobs: null, promptLogprobs: false }, 0)
  scheduler.add(sequence)
  scheduler.admit(() => true)
  bank.pin(adapter)
  sequence.pinned.push('d1')
  return { scheduler, bank, adapters: new Map([['d1', adapter]]), sequence }
}

describe('checkBooks', () => {
  it('finds nothing where every pin has its row, and every row its pins', () => {
    const books = running()
    checkBooks(books)
    books.scheduler.remove(books.sequence)
    books.bank.unpin('d1')
    checkBooks(books)
  })

  it('finds a pin that a row left behind', () => {
    const books = running()
    books.scheduler.remove(books.sequence)
    expect(() => checkBooks(books)).toThrow('d1 is pinned though no row uses it')
  })

  it('finds a row whose pin is gone', () => {
    const books = running()
    books.bank.unpin('d1')
    expect(() => checkBooks(books)).toThrow('d1 is used by a row but not pinned')
  })

  it('finds a version in the bank that nobody holds', () => {
    const books = running()
    books.adapters.delete('d1')
    expect(() => checkBooks(books)).toThrow('the bank has d1, which is not held')
  })
})
