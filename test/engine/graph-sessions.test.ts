import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SiteKind } from '../../src/core/branch.ts'
import { GraphSessions } from '../../src/engine/graph-sessions.ts'
import { BASE_SPEC, specCovers, specFor, specKey } from '../../src/model/graph/spec.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-graphs-'))
const QUERY = specFor(['q_proj', 'v_proj'])
const DOWN = specFor(['down_proj'])
let prepared: PreparedModel

beforeAll(async () => {
  const modelDir = join(import.meta.dirname, '../fixtures/conformance/llama/model')
  prepared = await prepareModel({ modelDir, precision: 'f32', cacheDir })
})
afterAll(() => rmSync(cacheDir, { recursive: true }))

/** Sessions with room for so many graphs, while `use` runs. */
async function withRoomFor(graphs: number, use: (sessions: GraphSessions) => Promise<void>): Promise<void> {
  const one = await GraphSessions.open(prepared, { threads: 1, budget: 0 })
  const budget = graphs * one.bytes
  await one.release()
  const sessions = await GraphSessions.open(prepared, { threads: 1, budget })
  try {
    await use(sessions)
  } finally {
    await sessions.release()
  }
}

const chosen = (sessions: GraphSessions, kinds: readonly SiteKind[], form: 'dense' | 'grouped'): string => {
  const graph = sessions.covering(specFor(kinds), form)
  return `${specKey(graph.spec)} ${graph.form}`
}

describe('compiled graphs', () => {
  it('are both forms of what each kind of adapter needs, and of all together, while they fit', async () => {
    await withRoomFor(9, async (sessions) => {
      await sessions.ensure(QUERY)
      await sessions.ensure(DOWN)
      await sessions.ensure(QUERY)
      expect(chosen(sessions, ['down_proj'], 'grouped')).toBe('q_proj+v_proj+down_proj grouped')
      while (sessions.canImprove) await sessions.improve()
      expect(sessions.count).toBe(7)
      expect(chosen(sessions, ['q_proj'], 'dense')).toBe('q_proj+v_proj dense')
      expect(chosen(sessions, ['down_proj'], 'grouped')).toBe('down_proj grouped')
      expect(chosen(sessions, ['down_proj', 'v_proj'], 'grouped')).toBe('q_proj+v_proj+down_proj grouped')
      expect(sessions.covering(BASE_SPEC, 'grouped')).toBe(sessions.base)
    })
  })

  it('are one for everything besides the base where there is no room for more', async () => {
    await withRoomFor(2, async (sessions) => {
      await sessions.ensure(QUERY)
      await sessions.improve()
      expect(chosen(sessions, ['q_proj'], 'grouped')).toBe('q_proj+v_proj dense')
      const before = sessions.generation
      await sessions.ensure(DOWN)
      expect(sessions.count).toBe(2)
      expect(sessions.generation).toBeGreaterThan(before)
      expect(chosen(sessions, ['q_proj'], 'grouped')).toBe('q_proj+v_proj+down_proj dense')
    })
  })

  it('leave for what must be there, the one that was not used for longest first', async () => {
    await withRoomFor(4, async (sessions) => {
      await sessions.ensure(QUERY)
      sessions.covering(QUERY, 'grouped')
      sessions.covering(QUERY, 'dense')
      await sessions.ensure(DOWN)
      // Room for one more than before: all together, dense and grouped, in place of what was compiled for queries in the grouped form.
      expect(sessions.count).toBe(4)
      await sessions.ensure(specFor(['o_proj']))
      expect(sessions.count).toBe(4)
      expect(specCovers(sessions.covering(specFor(['q_proj', 'o_proj', 'down_proj']), 'dense').spec, QUERY)).toBe(true)
    })
  })

  it('say which sites nobody asked for', async () => {
    await withRoomFor(2, async (sessions) => {
      await sessions.ensure(QUERY)
      expect(() => sessions.covering(DOWN, 'dense')).toThrow('no graph has down_proj')
    })
  })
})
