import type { Group } from '../groups.ts'
import { unmeasured } from '../groups.ts'

/** Speculative decoding by prompt lookup, which no setting of the server switches on yet. */
export const SPECULATION: Group = {
  name: 'speculation',
  rows: ['speculation'],
  run: async () => [unmeasured('JSON task of the demo: with speculation / without', '×', '≥ 1.5', 'not built')],
}
