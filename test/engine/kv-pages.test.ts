import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KvPages } from '../../src/engine/kv-pages.ts'

describe('KvPages', () => {
  it('evicts published pages that nobody uses, least recently used first', () => {
    const pages = new KvPages(3)
    const taken = [pages.take(), pages.take(), pages.take()]
    for (const [i, page] of taken.entries()) expect(pages.publish(`key ${i}`, page)).toBe(page)
    for (const page of [taken[1]!, taken[0]!, taken[2]!]) pages.release(page)
    pages.retain(pages.find('key 1')!)
    pages.release(taken[1]!)
    expect([pages.take(), pages.take(), pages.take()]).toEqual([taken[0], taken[2], taken[1]])
    expect([0, 1, 2].map((i) => pages.find(`key ${i}`))).toEqual([undefined, undefined, undefined])
    expect(pages.evictions).toBe(3)
    expect(() => pages.take()).toThrow('no page is available')
  })

  it('knows the page that was first under a key', () => {
    const pages = new KvPages(2)
    const [first, second] = [pages.take(), pages.take()]
    pages.publish('key', first)
    expect(pages.publish('key', second)).toBe(first)
    pages.release(second)
    expect(pages.counts()).toEqual({ pages: 2, free: 1, cached: 0, used: 1, shared: 0 })
  })

  it('refuses what would put its books in disorder', () => {
    const pages = new KvPages(2)
    const page = pages.take()
    pages.release(page)
    expect(() => pages.release(page)).toThrow('more often than it was taken')
    const other = new KvPages(2)
    expect(() => other.retain(0)).toThrow('is free and cannot be shared')
    const again = other.take()
    other.publish('a', again)
    expect(() => other.publish('b', again)).toThrow('has a key already')
  })

  it.each<[string, (pages: KvPages, page: number) => readonly (readonly number[])[], RegExp]>([
    ['a user who gave nothing back', () => [], /counts 1 users, has 0/],
    [
      'a table with a page that was given back',
      (pages, page) => (pages.release(page), [[page]]),
      /counts 0 users, has 1/,
    ],
    ['two tables that share without counting', (_, page) => [[page], [page]], /counts 1 users, has 2/],
  ])('finds %s', (_, tables, message) => {
    const pages = new KvPages(2)
    expect(() => pages.checkIntegrity(tables(pages, pages.take()))).toThrow(message)
  })

  it('loses and doubles no page, whatever is taken, shared, published and given back', () => {
    const action = fc.record({
      kind: fc.integer({ min: 0, max: 4 }),
      pick: fc.nat(),
      key: fc.integer({ min: 0, max: 9 }),
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(action, { maxLength: 200 }), (count, actions) => {
        const pages = new KvPages(count)
        /** One entry for every reference. */
        const held: number[] = []
        for (const { kind, pick, key } of actions) {
          const chosen = held[pick % Math.max(1, held.length)]
          const found = pages.find(String(key))
          if (kind === 0 && pages.available > 0) held.push(pages.take())
          else if (kind === 1 && chosen !== undefined) {
            pages.retain(chosen)
            held.push(chosen)
          } else if (kind === 2 && found !== undefined) {
            pages.retain(found)
            held.push(found)
          } else if (
            kind === 3 &&
            chosen !== undefined &&
            ![...Array(10).keys()].some((k) => pages.find(String(k)) === chosen)
          )
            pages.publish(String(key), chosen)
          else if (kind === 4 && chosen !== undefined) {
            held.splice(held.indexOf(chosen), 1)
            pages.release(chosen)
          }
          pages.checkIntegrity(held.map((page) => [page]))
          const { free, cached, used } = pages.counts()
          expect(free + cached + used).toBe(count)
        }
      }),
      { numRuns: 150 },
    )
  })
})
