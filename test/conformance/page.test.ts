import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Result } from '../../bench/conformance-page.ts'
import { compatibilityPage, summarise } from '../../bench/conformance-page.ts'
import { readReference } from '../support/conformance.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')

function result(changes: Partial<Result>): Result {
  return { family: 'f', method: 'm', batch: 'alone', logprobs: 1e-5, sameTokens: true, samples: 1, ...changes }
}

describe('the compatibility page', () => {
  it('shows the worst of every family and method, alone and mixed', () => {
    const results = [
      result({}),
      result({ logprobs: 2e-4 }),
      result({ sameTokens: false, batch: 'mixed' }),
      result({ batch: 'mixed' }),
    ]
    expect(summarise(results)).toEqual([
      result({ logprobs: 2e-4, samples: 2 }),
      result({ batch: 'mixed', sameTokens: false, samples: 2 }),
    ])
    const page = compatibilityPage(results, [{ family: 'f', what: 'x', reason: 'a|b' }])
    expect(page).toContain('| f | m | 2 | 2.0e-4 | equal | 1.0e-5 | **differ** |')
    expect(page).toContain('| f | x | a\\|b |')
  })

  it('as committed knows every family of the fixtures', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/compatibility.md'), 'utf8')
    for (const folder of readdirSync(FIXTURES)) {
      const { family } = readReference(join(FIXTURES, folder))
      expect(page, `run npm run conformance: ${family}`).toContain(`| ${family} | base model |`)
    }
  })
})
