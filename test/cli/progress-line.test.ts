import { describe, expect, it } from 'vitest'
import { ProgressLine, renderProgress } from '../../src/cli/progress-line.ts'

function recorder(isTTY: boolean): {
  written: string[]
  target: { isTTY: boolean; columns: number; write(text: string): void }
} {
  const written: string[] = []
  return { written, target: { isTTY, columns: 60, write: (text) => void written.push(text) } }
}

describe('ProgressLine', () => {
  it('redraws one line on a terminal, not too often and never wider than it', () => {
    const { written, target } = recorder(true)
    let now = 0
    const line = new ProgressLine('preparing', target, () => now)
    for (now = 0; now < 1000; now += 10) line.update(now, 1000, 'layers.0.mlp.down_proj.weight')
    line.finish()
    expect(written).toHaveLength(11)
    for (const text of written.slice(0, -1)) {
      expect(text.startsWith('\r\u001b[2Kpreparing')).toBe(true)
      expect(text.length).toBeLessThanOrEqual(60 + '\r\u001b[2K'.length)
    }
  })

  it('writes whole lines elsewhere, the first, the last and a few between', () => {
    const { written, target } = recorder(false)
    let now = 0
    const line = new ProgressLine('preparing', target, () => now)
    for (now = 0; now <= 25_000; now += 100) line.update(now, 25_000, 'x')
    line.finish()
    expect(written).toHaveLength(4)
    expect(written.every((text) => text.startsWith('preparing [') && text.endsWith('\n'))).toBe(true)
  })
})

it.each([
  [0, 0, '  0 % of 4 GiB, … left'],
  [1, 30_000, ' 25 % of 4 GiB, 90 s left'.replace('90 s', '2 min')],
  [2, 30_000, ' 50 % of 4 GiB, 30 s left'],
  [4, 30_000, '100 % of 4 GiB, 30.0 s'],
])('shows %i GiB after %i ms', (done, elapsedMs, text) => {
  expect(renderProgress('t', { done: done * 2 ** 30, total: 4 * 2 ** 30, what: 'w', elapsedMs })).toContain(text)
})
