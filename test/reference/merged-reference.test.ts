import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { prepareModel } from '../../src/model/prepare.ts'
import { MergedReference } from '../../src/reference/merged-reference.ts'
import { modelDir } from '../support/fixtures.ts'
import { codeOf, messageOf } from '../support/rooms.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-reference-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

const TOKENS = Int32Array.of(1, 5, 9, 2)

async function open(idleMs?: number): Promise<{ reference: MergedReference; vocab: number }> {
  const { dir, manifest } = await prepareModel({ modelDir: modelDir('llama'), precision: 'f32', cacheDir })
  return { reference: new MergedReference({ preparedDir: dir }, idleMs), vocab: manifest.info.vocab }
}

describe('the reference thread', () => {
  it('answers with probabilities, and keeps those of the base model', async () => {
    const { reference, vocab } = await open()
    const first = await reference.base(TOKENS)
    expect(first.length).toBe((TOKENS.length - 1) * vocab)
    const sum = first.subarray(0, vocab).reduce((total, logprob) => total + Math.exp(logprob), 0)
    expect(sum).toBeCloseTo(1, 4)
    expect(await reference.base(TOKENS)).toBe(first)
    expect(await reference.base(TOKENS.slice(0, 3))).not.toBe(first)
    await reference.close()
  })

  it('ends when it is idle, and starts again', async () => {
    const { reference } = await open(20)
    expect(reference.running).toBe(false)
    await reference.base(TOKENS)
    await vi.waitFor(() => expect(reference.running).toBe(false))
    await reference.base(TOKENS.slice(0, 3))
    expect(reference.running).toBe(true)
    await reference.close()
  })

  it('fails what it cannot compute, and does not keep the failure', async () => {
    const { reference, vocab } = await open()
    const outside = Int32Array.of(1, vocab * 1000, 2)
    expect(await messageOf(() => reference.base(outside))).toContain('could not be computed')
    expect(await codeOf(() => reference.base(outside))).toBe('internal')
    expect((await reference.base(TOKENS)).length).toBeGreaterThan(0)
    await reference.close()
  })

  it('fails when its thread cannot start', async () => {
    const reference = new MergedReference({ preparedDir: join(cacheDir, 'nothing') })
    expect(await codeOf(() => reference.base(TOKENS))).toBe('internal')
    expect(reference.running).toBe(false)
    await reference.close()
  })

  it('takes nothing more once it is closed', async () => {
    const { reference } = await open()
    await reference.base(TOKENS)
    await reference.close()
    expect(await codeOf(() => reference.base(TOKENS.slice(0, 2)))).toBe('not_ready')
  })
})
