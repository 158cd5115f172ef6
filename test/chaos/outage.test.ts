import { describe, expect, it, onTestFinished } from 'vitest'
import { noBuckets } from '../support/s3-server.ts'
import { FOLDERS, openBuckets } from '../support/stores.ts'
import { runOutage } from './scenarios/outage.ts'

const reason = noBuckets()
if (reason !== null) console.warn(`the test of a bucket that is gone is skipped: ${reason}`)

it('serves on what is in memory while its folder is gone, refuses changes, and recovers by itself', async () => {
  const { violations, figures } = await runOutage({ requests: 0, rounds: 1, seconds: 4, stores: FOLDERS })
  expect(violations).toEqual([])
  expect(figures.duringOutage).toBeGreaterThan(0)
}, 120_000)

// Needs the S3 server that `noBuckets` looks for.
describe.skipIf(reason !== null)(`a bucket${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  it('is not needed for what is on the local disk, be it out of reach or silent', async () => {
    const stores = await openBuckets('moto')
    onTestFinished(() => stores.close())
    const { violations, figures } = await runOutage({ requests: 0, rounds: 1, seconds: 8, stores })
    expect(violations).toEqual([])
    // Otherwise the test proves nothing.
    expect(figures.duringOutage).toBeGreaterThan(0)
    expect(figures.loads).toBeGreaterThan(0)
  }, 240_000)
})
