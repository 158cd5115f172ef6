import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { merge } from '../../src/generation/merge.ts'
import type { Source } from '../../src/generation/merge.ts'

const never = new AbortController().signal

/** Yields `count` items; ends early when aborted. Tells how it ended. */
function counting(label: string, count: number, ends: string[], fails = false): Source<string> {
  return async function* (signal) {
    try {
      for (let i = 0; i < count; i++) {
        await sleep(2, undefined, { signal }).catch(() => {})
        if (signal.aborted) throw signal.reason
        yield `${label}${i}`
      }
      if (fails) throw new Error(`${label} failed`)
    } finally {
      ends.push(label)
    }
  }
}

describe('merge', () => {
  it('yields everything, each source in order', async () => {
    const ends: string[] = []
    const items: string[] = []
    for await (const item of merge([counting('a', 5, ends), counting('b', 3, ends)], never)) items.push(item)
    expect(items.filter((item) => item.startsWith('a'))).toEqual(['a0', 'a1', 'a2', 'a3', 'a4'])
    expect(items.filter((item) => item.startsWith('b'))).toEqual(['b0', 'b1', 'b2'])
    expect(items.indexOf('b0')).toBeLessThan(items.indexOf('a4'))
  })

  it('when one fails the others are ended before the failure comes out', async () => {
    const ends: string[] = []
    const run = async (): Promise<void> => {
      for await (const item of merge([counting('a', 2, ends, true), counting('b', 1000, ends)], never)) void item
    }
    await expect(run()).rejects.toThrow('a failed')
    expect(ends.sort()).toEqual(['a', 'b'])
  })

  it('when the loop is left all sources have ended', async () => {
    const ends: string[] = []
    for await (const item of merge([counting('a', 1000, ends), counting('b', 1000, ends)], never)) {
      void item
      break
    }
    expect(ends.sort()).toEqual(['a', 'b'])
  })

  it('passes an abort on and ends with its reason', async () => {
    const ends: string[] = []
    const controller = new AbortController()
    const run = async (): Promise<void> => {
      for await (const item of merge([counting('a', 1000, ends)], controller.signal))
        if (item === 'a2') controller.abort(new Error('enough'))
    }
    await expect(run()).rejects.toThrow('enough')
    expect(ends).toEqual(['a'])
  })

  it('begins aborted when the signal already was', async () => {
    const ends: string[] = []
    const stream = merge([counting('a', 5, ends)], AbortSignal.abort(new Error('too late')))
    await expect(stream.next()).rejects.toThrow('too late')
    expect(ends).toEqual(['a'])
  })
})
