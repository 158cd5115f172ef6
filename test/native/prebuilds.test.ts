import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TARGETS } from '../../native/build/flags.ts'
import type { Target } from '../../native/build/flags.ts'
import { prebuiltPath } from '../../native/build/prebuilds.ts'
import { NATIVE, digestInside, sourceDigest } from '../../native/build/sources.ts'

const hasAddon = existsSync(join(NATIVE, 'addon'))
if (!hasAddon) console.log('skipped: there is no addon in native/ whose builds could be compared')

describe.skipIf(!hasAddon)('prebuilt addons', () => {
  it.each(Object.keys(TARGETS) as Target[])('%s is there, and from the sources in the tree', (target) => {
    const path = prebuiltPath(target)
    expect(existsSync(path), `${path} is missing; run npm run native`).toBe(true)
    expect(digestInside(readFileSync(path)), 'made from other sources; run npm run native').toBe(sourceDigest())
  })
})

describe('digestInside', () => {
  it('finds the digest wherever it stands, and none in a foreign file', () => {
    const digest = `sha256:${'0f'.repeat(32)}`
    expect(digestInside(Buffer.from(`\x7fELF\0\xfftroupe-sources=${digest}\0rest`, 'latin1'))).toBe(digest)
    expect(digestInside(Buffer.from('MZ troupe-sources=sha256:short'))).toBeNull()
  })
})
