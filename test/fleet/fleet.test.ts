import { describe, expect, it } from 'vitest'
import { checkGatewayConfig, GATEWAYS, noGateway } from '../support/gateway.ts'
import { runFleet } from './scenarios/fleet.ts'

describe.each(GATEWAYS)('two replicas behind %s', (kind) => {
  const reason = noGateway(kind)
  if (reason !== null) console.warn(`the tests of replicas behind a gateway are skipped: ${reason}`)

  it.skipIf(reason !== null)(
    'lose no request that had no first byte, and split no adapter',
    async () => {
      expect(checkGatewayConfig(kind)).toBe('')
      const { violations, figures } = await runFleet(kind, { adapters: 6, requests: 60 })
      expect(violations).toEqual([])
      expect(figures.coldLoads).toBeLessThanOrEqual(7)
      expect(figures.requests).toBe(180)
    },
    300_000,
  )
})
