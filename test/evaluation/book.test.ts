import { describe, expect, it } from 'vitest'
import { emptyBooks } from '../../src/app/books.ts'
import type { Change } from '../../src/store/record.ts'
import { Journal } from '../../src/store/journal.ts'
import { ME, QUIET, openLocation } from '../support/store-folder.ts'
import { scratchFolder } from '../support/at-exit.ts'

const SET = { digest: `sha256:${'a'.repeat(64)}`, blob: 'abc-0123' }

function created(id: string): Change {
  const data = {
    ...{ id, name: 'n', tenant: 'acme', base: { name: 'b', fingerprint: 'f' }, task: null, seed: 0, confidence: 0.95 },
    mixes: [{ label: 'base', adapters: [], stack: false, bytes: 0, parameters: 0 }],
    set: { ...SET, items: 1 },
    ...{ metrics: ['exact_match'], pattern: null, schema: null, sampling: {} },
  }
  return { type: 'evaluation.created', data }
}

async function openJournal() {
  const { store } = await openLocation(scratchFolder('troupe-book-'))
  const { books, ...rest } = emptyBooks()
  return { journal: await Journal.open({ store, books, server: 'one', log: QUIET }), books, ...rest }
}

const claim = (process: string, from: string | null): Change => {
  return { type: 'evaluation.claimed', data: { id: 'eval-1', server: 'one', process, from } }
}

describe('the book of evaluations', () => {
  it('keeps the set while an evaluation names it, also through a snapshot', async () => {
    const { journal, state, books } = await openJournal()
    await journal.append(created('eval-1'), ME)
    await journal.append(created('eval-2'), ME)
    await journal.append({ type: 'evaluation.deleted', data: { id: 'eval-1' } }, ME)
    expect(state.isNamed(SET)).toBe(true)

    const again = emptyBooks()
    for (const [i, book] of again.books.entries()) book.load(JSON.parse(JSON.stringify(books[i]!.save())))
    expect([...again.evaluations.keys()]).toEqual(['eval-2'])
    expect(again.state.isNamed(SET)).toBe(true)

    await journal.append({ type: 'evaluation.deleted', data: { id: 'eval-2' } }, ME)
    expect(state.isNamed(SET)).toBe(false)
    expect(state.isCondemned(SET)).toBe(true)
    // Its bytes may be going: nothing names it again.
    await expect(journal.append(created('eval-3'), ME)).rejects.toThrow(/collected/)
  })

  it('lets one process at a time take an evaluation over', async () => {
    const { journal, evaluations } = await openJournal()
    await journal.append(created('eval-1'), ME)
    await journal.append(claim('p1', null), ME)
    await expect(journal.append(claim('p2', null), ME)).rejects.toThrow(/another server/)
    await journal.append(claim('p2', 'p1'), ME)
    expect(evaluations.get('eval-1')?.worker?.process).toBe('p2')
    const end = { id: 'eval-1', status: 'cancelled', reason: null, result: null }
    await journal.append({ type: 'evaluation.ended', data: end }, ME)
    await expect(journal.append(claim('p3', null), ME)).rejects.toThrow(/has ended: it is cancelled/)
  })

  it('reads snapshots from before there were evaluations', () => {
    const { books, evaluations } = emptyBooks()
    books.find(({ name }) => name === 'evaluations')!.load(undefined)
    expect(evaluations.size).toBe(0)
  })
})
