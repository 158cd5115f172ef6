import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { it } from 'vitest'
import { CLIENTS, OPERATIONS, runRace } from './scenarios/races.ts'

const RUNS = 15
const STEPS_PER_CLIENT = 3

const step = fc.record({ operation: fc.constantFrom(...OPERATIONS), choice: fc.nat({ max: 1000 }) })

it(`keeps every invariant while ${CLIENTS} clients use, change and delete one adapter in any order`, async () => {
  const property = fc.asyncProperty(
    fc.scheduler(),
    fc.array(step, { minLength: STEPS_PER_CLIENT * CLIENTS, maxLength: STEPS_PER_CLIENT * CLIENTS }),
    async (scheduler, steps) => {
      const storeDir = mkdtempSync(join(tmpdir(), 'troupe-race-'))
      try {
        await runRace(scheduler, storeDir, steps)
      } finally {
        rmSync(storeDir, { recursive: true, force: true })
      }
    },
  )
  await fc.assert(property, { numRuns: RUNS, endOnFailure: true })
})
