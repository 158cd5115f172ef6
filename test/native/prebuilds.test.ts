import { describe, expect, it } from 'vitest'
import { digestInside } from '../../native/build/sources.ts'

describe('digestInside', () => {
  it('finds the digest wherever it stands, and none in a foreign file', () => {
    const digest = `sha256:${'0f'.repeat(32)}`
    expect(digestInside(Buffer.from(`\x7fELF\0\xfftroupe-sources=${digest}\0rest`, 'latin1'))).toBe(digest)
    expect(digestInside(Buffer.from('MZ troupe-sources=sha256:short'))).toBeNull()
  })
})
