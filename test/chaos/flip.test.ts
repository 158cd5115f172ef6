import { expect, it, onTestFinished } from 'vitest'
import { Client } from '../support/client.ts'
import { modelDir } from '../support/fixtures.ts'
import { scrape } from '../support/scrape.ts'
import { startTestServer } from '../support/server.ts'
import { FAMILY } from './scenarios/adapters.ts'
import { runFlip } from './scenarios/flip.ts'

it('answers every request by the version it names while versions flip, come and go', async () => {
  const server = await startTestServer({ model: modelDir(FAMILY), maxBatch: 16 })
  onTestFinished(() => server.close())
  const { violations, figures } = await runFlip(new Client(server.url), { requests: 600, rounds: 1, seconds: 60 })
  expect(violations).toEqual([])
  // Otherwise the test proves nothing.
  expect(figures.activations).toBeGreaterThan(3)
  expect(figures.rollbacks).toBeGreaterThan(0)
  expect(figures.deletions).toBeGreaterThan(0)
  expect(figures.versions).toBeGreaterThan(1)
  const metrics = await scrape(new Client(server.url))
  expect([metrics.get('troupe_leases'), metrics.get('troupe_draining_versions')]).toEqual([0, 0])
}, 120_000)
