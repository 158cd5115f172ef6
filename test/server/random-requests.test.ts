import { expect, it } from 'vitest'
import { ROLES } from '../../src/tenancy/roles.ts'
import { sendRandomRequests } from './random-requests.ts'

it.each(ROLES)('random requests of the role %s find no fault, and nothing of another tenant', async (role) => {
  const { faults, leaks, succeeded } = await sendRandomRequests(role, 400, 1)
  expect(faults).toEqual([])
  expect(leaks).toEqual([])
  // Most are refused; that none is would mean that none was understood.
  expect(succeeded).toBeGreaterThan(5)
})
