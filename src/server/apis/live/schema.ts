import { Type } from 'typebox'
import type { Static } from 'typebox'
import { METHODS } from '../../../core/branch.ts'
import { ROLES } from '../../../tenancy/roles.ts'
import { Strict, errorResponses } from '../../wire/common.ts'

const Count = Type.Integer()

const Live = Strict(
  {
    server: Type.String({ description: 'Changes with every start.' }),
    model: Type.String(),
    max_context: Count,
    caller: Strict({
      tenant: Type.String(),
      role: Type.Enum([...ROLES]),
      open: Type.Boolean({ description: 'The server needs no keys.' }),
    }),
    engine: Strict(
      {
        running: Type.Integer({ description: 'Sequences that take part in steps.' }),
        queued: Count,
        paused: Count,
        max_batch: Count,
        steps: Count,
        step_seconds: Type.Number(),
        busy_seconds: Type.Number(),
        prompt_tokens: Count,
        decoded_tokens: Count,
        kv_pages: Count,
        kv_pages_used: Count,
        kv_pages_cached: Count,
        kv_bytes: Count,
        weight_bytes: Count,
      },
      { description: 'Of the whole server. Steps, seconds and tokens are counted from its start.' },
    ),
    queue: Strict({
      waiting: Type.Integer({ description: 'Sequences, of all tenants.' }),
      running: Count,
      tenants: Type.Array(Strict({ tenant: Type.String(), waiting: Count, running: Count }), {
        description: 'Who has sequences there, as far as this key may know.',
      }),
    }),
    memory: Strict({
      budget_bytes: Count,
      bytes: Count,
      hits: Type.Integer({ description: 'Since the start: requests that found their version in memory.' }),
      loads: Count,
      evictions: Count,
      versions: Type.Array(
        Strict({
          name: Type.String(),
          version: Type.String(),
          digest: Type.String(),
          method: Type.Enum([...METHODS]),
          bytes: Count,
          pinned: Type.Boolean({ description: 'It cannot be evicted now.' }),
          leases: Type.Integer({ description: 'Requests that run with it.' }),
        }),
        { description: 'First what would be evicted first.' },
      ),
      others: Strict(
        { versions: Count, bytes: Count },
        { description: 'Versions that are not listed, or that this key cannot see.' },
      ),
    }),
  },
  { title: 'LiveFigures', description: 'As things are now.' },
)
export type LiveBody = Static<typeof Live>

export const liveSchema = {
  operationId: 'liveFigures',
  tags: ['operations'],
  summary: 'What the server does now, for a console: steps, queue, adapter memory',
  description:
    'The figures of `/metrics` that a person looks at, as far as the key can see. Rates are differences of two answers.',
  response: { 200: Live, ...errorResponses(401, 403, 500) },
}
