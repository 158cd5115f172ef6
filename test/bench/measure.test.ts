import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { writeDocument } from '../../bench/document.ts'
import { alternate, median } from '../../bench/measure/alternate.ts'
import { batchFigures } from '../../bench/measure/batch.ts'
import { writeNoise } from '../../bench/synthetic/tensor-file.ts'
import { openSafetensors } from '../../src/safetensors/file.ts'

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-bench-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

it('runs contestants in turn and keeps what came after the warm-up', async () => {
  const order: string[] = []
  const contestant = (name: string) => async (): Promise<number> => order.push(name)
  const contestants = new Map(['a', 'b'].map((name) => [name, contestant(name)] as const))
  const results = await alternate(contestants, { warmUps: 1, rounds: 2 })
  expect(order.join('')).toBe('ababab')
  expect(Object.fromEntries(results)).toEqual({ a: [3, 5], b: [4, 6] })
})

it('takes the middle of odd and even numbers of samples', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([4, 1, 2, 9])).toBe(3)
})

it('counts decoding only while every row decodes', () => {
  // The second row begins when the first has two tokens, the first ends when the second has three: two tokens each lie between.
  const rows = [
    { startedAt: 0, arrivals: [100, 200, 300, 400] },
    { startedAt: 0, arrivals: [200, 300, 400, 500] },
  ]
  const figures = batchFigures(rows, 4)
  expect(figures.perSecond).toBeCloseTo(16)
  expect(figures.decodePerSecond).toBeCloseTo(20)
  expect(figures.firstTokenMs).toBe(100)
  expect(() => batchFigures(rows, 5)).toThrow('asked for 5 tokens, 4 came')
})

it('writes the same noise for the same seed, of the deviation asked for, in f32 and bf16', () => {
  const dir = folder()
  const tensors = [
    { name: 'w', shape: [100, 101], deviation: 0.5 },
    { name: 'ones', shape: [3], deviation: null },
  ]
  for (const dtype of ['F32', 'BF16'] as const) {
    const path = (n: number): string => join(dir, `${dtype}-${n}.safetensors`)
    for (const [n, seed] of [5, 5, 6].entries()) writeNoise(path(n), tensors, { dtype, seed })
    expect(readFileSync(path(0)).equals(readFileSync(path(1)))).toBe(true)
    expect(readFileSync(path(0)).equals(readFileSync(path(2)))).toBe(false)
    const file = openSafetensors(path(0), 'invalid_model')
    const values = file.readF32('w')
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length
    expect(Math.abs(Math.sqrt(square) - 0.5)).toBeLessThan(0.01)
    expect([...file.readF32('ones')]).toEqual([1, 1, 1])
    file.close()
  }
})

it('replaces the figures of a document and nothing else', () => {
  const path = join(folder(), 'benchmarks.md')
  const [begin, end] = ['<!-- int8: written by `npm run bench` -->', '<!-- end of int8 -->']
  const other = '<!-- int4: written by `npm run bench` -->\nkept\n<!-- end of int4 -->\n'
  writeFileSync(path, `before\n${other}${begin}\nold\n${end}\nafter\n`)
  const figure = { unit: 'ms', target: null, met: null }
  writeDocument(path, 'int8', 'npm run bench', [
    { name: 'a | b', value: 1.2345, unit: '×', target: '≥ 1', met: true },
    { ...figure, name: 'peer', value: null, note: 'not measured: no Python' },
    { ...figure, name: 'step', value: 5 },
  ])
  const text = readFileSync(path, 'utf8')
  expect(text).toMatch(/^before\n[^]*\nafter\n$/)
  expect(text).toContain(other)
  expect(text).not.toContain('old')
  expect(text).toMatch(/\| a \\\| b +\| 1\.23 × +\| ≥ 1 × +\| met/)
  expect(text).toMatch(/\| peer +\| – .*not measured: no Python/)
  expect(text).toMatch(/\| step +\| 5 ms/)
  writeFileSync(path, 'no marks')
  expect(() => writeDocument(path, 'int8', 'x', [])).toThrow('must hold the lines')
})
