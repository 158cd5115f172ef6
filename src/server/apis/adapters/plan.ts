import { Type } from 'typebox'
import type { PlannedTier } from '../../../residency/load-plan.ts'
import type { CatalogueState } from '../../../catalogue/state.ts'
import { viewOf } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { versionName } from '../../../generation/target.ts'
import { Name, Strict, VersionRef, errorResponses } from '../../wire/common.ts'

const MAX_PLANNED = 1_000

const TierPlan = Strict(
  {
    fits: Type.Boolean({ description: 'Whether all of them could be there at once, beside what requests use now.' }),
    needed_bytes: Type.Integer({ description: 'What would have to come in.' }),
    free_bytes: Type.Integer(),
    budget_bytes: Type.Integer(),
    evicts: Type.Array(Strict({ name: Type.String(), version: Type.String() }), {
      description: 'What would leave, first to last, as far as this key can see.',
    }),
    evicts_others: Type.Integer({ description: 'Versions that would leave and that this key cannot see.' }),
  },
  { title: 'TierPlan' },
)

const schema = {
  operationId: 'planAdapters',
  tags: ['adapters'],
  summary: 'Would these versions fit, who would have to leave, what would a first request pay? Nothing is done.',
  body: Strict(
    {
      adapters: Type.Array(Strict({ name: Name, version: Type.Optional(VersionRef) }), {
        minItems: 1,
        maxItems: MAX_PLANNED,
      }),
    },
    {
      title: 'PlanRequest',
      description: 'Versions left out are the newest ready ones.',
      examples: [{ adapters: [{ name: 'ticket-json' }, { name: 'question-sql', version: 'v1' }] }],
    },
  ),
  response: {
    200: Strict(
      {
        fits: Type.Boolean({ description: 'In memory.' }),
        load_ms: Type.Number({ description: 'What a first request for all of them would wait, estimated.' }),
        adapters: Type.Array(
          Strict({
            name: Type.String(),
            version: Type.String(),
            digest: Type.String(),
            bytes: Type.Integer({ description: 'As read from its files.' }),
            device_bytes: Type.Integer({ description: 'In the engine’s memory.' }),
            tier: Type.Enum(['hot', 'warm', 'cold'], { description: 'Where it is: device, memory, store.' }),
            load_ms: Type.Number({ description: 'From loads measured by this process.' }),
          }),
        ),
        memory: TierPlan,
      },
      { title: 'Plan', description: 'As things are now.' },
    ),
    ...errorResponses(400, 401, 404, 409, 415, 500, 503),
  },
}

/** `POST /v1/adapters/plan` */
export function planRoutes(app: App, { catalogue, residency }: ServerDeps): void {
  app.post('/v1/adapters/plan', { schema }, async ({ body, caller }) => {
    const view = viewOf(caller)
    const { adapters, memory, loadMs } = await residency.plan(body.adapters, view)
    return {
      fits: memory.fits,
      load_ms: rounded(loadMs),
      adapters: adapters.map(({ adapter, version, digest, bytes, deviceBytes, tier, loadMs: ms }) => ({
        ...{ name: adapter, version: versionName(version), digest, bytes, device_bytes: deviceBytes },
        ...{ tier, load_ms: rounded(ms) },
      })),
      memory: tierBody(memory, catalogue.state, view),
    }
  })
}

function tierBody(plan: PlannedTier, state: CatalogueState, view: string) {
  const visible = plan.evicts.filter(({ adapter }) => state.isAdapterVisible(adapter, view))
  return {
    fits: plan.fits,
    needed_bytes: plan.neededBytes,
    free_bytes: plan.freeBytes,
    budget_bytes: plan.budgetBytes,
    evicts: visible.map(({ adapter, version }) => ({ name: adapter, version: versionName(version) })),
    evicts_others: plan.evicts.length - visible.length,
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100
}
