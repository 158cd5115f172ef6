import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TroupeError } from '../../src/core/errors.ts'
import type { Automaton } from '../../src/grammar/automaton.ts'
import { accepts, schemaAutomaton } from '../support/grammar.ts'

/** The folder `tests/draft2020-12` of the official JSON Schema test suite. */
const FOLDER = process.env.JSON_SCHEMA_TEST_SUITE ?? ''
const REASON = existsSync(FOLDER)
  ? null
  : 'JSON_SCHEMA_TEST_SUITE names no folder: docs/structured-output.md says where to get it'
if (REASON) console.log(`skipped: ${REASON}`)

interface Group {
  readonly description: string
  readonly schema: object | boolean
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[]
}

function compiled(schema: unknown): Automaton | null {
  try {
    return schemaAutomaton(schema)
  } catch (error) {
    if (error instanceof TroupeError) return null
    throw error
  }
}

describe.skipIf(REASON !== null)('the official suite', () => {
  const files = REASON ? [] : readdirSync(FOLDER).filter((file) => file.endsWith('.json'))
  const groups = files.flatMap((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Group[])

  it('is taken as it is meant, where a schema is taken', () => {
    const wrong: string[] = []
    let taken = 0
    for (const { schema, description, tests } of groups) {
      const automaton = compiled(schema)
      if (!automaton) continue
      taken++
      for (const { data, valid, description: test } of tests) {
        const accepted = accepts(automaton, JSON.stringify(data))
        // Formats are enforced here; the suite only has them noted.
        if (accepted !== valid && !(valid && JSON.stringify(schema).includes('"format"')))
          wrong.push(`${description}: ${test} (${JSON.stringify(data)})`)
      }
    }
    expect(wrong).toEqual([])
    expect(taken / groups.length).toBeGreaterThanOrEqual(0.9)
  })
})
