import { Type } from 'typebox'
import type { Static } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import type { DeepReadonly } from '../core/readonly.ts'
import { Shape } from '../core/shape.ts'
import { NAME_PART_PATTERN, checkName, ownerOf } from './names.ts'

const MAX_ROUTES = 16
const INPUT_SLOT = '{input}'

/** Where a task sends its requests; several routes share them by weight. Always pinned to one version. */
const RouteSchema = Type.Object(
  {
    adapter: Type.String(),
    version: Type.Integer({ minimum: 1 }),
    weight: Type.Number({ minimum: 0, maximum: Number.MAX_VALUE }),
  },
  { additionalProperties: false },
)

/** Fields of the HTTP generation body a task may preset; names as on the wire. */
export const TaskDefaultsSchema = Type.Object(
  {
    max_tokens: Type.Optional(Type.Number()),
    temperature: Type.Optional(Type.Number()),
    top_k: Type.Optional(Type.Number()),
    top_p: Type.Optional(Type.Number()),
    min_p: Type.Optional(Type.Number()),
    repetition_penalty: Type.Optional(Type.Number()),
    presence_penalty: Type.Optional(Type.Number()),
    frequency_penalty: Type.Optional(Type.Number()),
    seed: Type.Optional(Type.Number()),
    stop: Type.Optional(Type.Array(Type.String())),
    /** OpenAI's field: what answers are held to. */
    response_format: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
)

/** Names of tenants; `*` = all. */
export const SharedWithSchema = Type.Array(Type.String({ pattern: `${NAME_PART_PATTERN}|^\\*$` }), {
  maxItems: 1_000,
  uniqueItems: true,
})

/** What a version must show before the task routes to it. */
const GateSchema = Type.Object(
  {
    /** Digest of an evaluation's set. */
    set: Type.String(),
    metric: Type.String(),
    min: Type.Union([Type.Number(), Type.Null()]),
    /** Not worse than what the task routes to, as far as the evaluation can tell at this confidence. */
    notWorseThanCurrent: Type.Boolean(),
    confidence: Type.Number({ minimum: 0.5, maximum: 0.999 }),
  },
  { additionalProperties: false },
)

/** A task without what follows from its earlier records. */
export const TaskSettingsSchema = Type.Object(
  {
    name: Type.String(),
    description: Type.String(),
    routes: Type.Array(RouteSchema, { maxItems: MAX_ROUTES }),
    /** A version that runs a sample of the requests again, after they were answered, only to be compared. */
    shadow: Type.Union([
      Type.Object(
        {
          adapter: Type.String(),
          version: Type.Integer({ minimum: 1 }),
          /** Share of the requests, above 0 and up to 1. */
          sample: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
        },
        { additionalProperties: false },
      ),
      Type.Null(),
    ]),
    /** Its versions stay in memory, as long as they fit. */
    pinned: Type.Boolean(),
    /** Text around the input, with `{input}` where it goes; null = the input as it is. */
    prompt: Type.Union([Type.String(), Type.Null()]),
    /** System message put before `messages`; null = none. */
    system: Type.Union([Type.String(), Type.Null()]),
    defaults: TaskDefaultsSchema,
    /** Tenants beside the owner that see and use it; `*` = all. */
    sharedWith: Type.Optional(SharedWithSchema),
    gate: Type.Optional(Type.Union([GateSchema, Type.Null()])),
    /** Grows with every change. */
    revision: Type.Integer({ minimum: 1 }),
  },
  { additionalProperties: false },
)

/** Former routes: who ended them, and when. */
const ActivationSchema = Type.Object({
  /** Revision of the task that ended these routes; grows from entry to entry. */
  revision: Type.Integer({ minimum: 1 }),
  at: Type.String(),
  by: Type.String(),
  routes: Type.Array(RouteSchema),
})

export const TaskSchema = Type.Object({
  ...TaskSettingsSchema.properties,
  /** Former routes, oldest first; the last one is what `rollback` returns to. Bounded. */
  history: Type.Array(ActivationSchema),
  createdAt: Type.String(),
  updatedAt: Type.String(),
})

export type Route = DeepReadonly<Static<typeof RouteSchema>>
export type Gate = DeepReadonly<Static<typeof GateSchema>>
export type ShadowRoute = NonNullable<TaskSettings['shadow']>
export type TaskDefaults = DeepReadonly<Static<typeof TaskDefaultsSchema>>
export type TaskSettings = DeepReadonly<Static<typeof TaskSettingsSchema>>
export type Activation = DeepReadonly<Static<typeof ActivationSchema>>
export type TaskRecord = DeepReadonly<Static<typeof TaskSchema>>

const settingsShape = new Shape(TaskSettingsSchema, 'task')

/**
 * What holds for every task, whoever wrote it. A task reaches only adapters of its own owner and unowned ones: so whoever may see
 * the task may be answered by what it routes to.
 * @throws TroupeError `invalid_request` naming the field
 */
export function checkTask(task: TaskSettings): void {
  settingsShape.check(task, 'invalid_request')
  checkName(task.name, 'task')
  for (const { adapter } of task.routes) checkReach(task.name, adapter, 'routes')
  const total = task.routes.reduce((sum, route) => sum + route.weight, 0)
  if (task.routes.length > 0 && !(total > 0 && Number.isFinite(total))) throw wrong('routes', 'needs a weight above 0')
  if (task.shadow) checkReach(task.name, task.shadow.adapter, 'shadow')
  if (task.prompt !== null && task.prompt.split(INPUT_SLOT).length !== 2) {
    throw wrong('prompt', `must contain ${INPUT_SLOT} exactly once`)
  }
}

function checkReach(task: string, adapter: string, param: string): void {
  checkName(adapter, 'adapter')
  const owner = ownerOf(adapter)
  if (owner === null || owner === ownerOf(task)) return
  throw wrong(param, `names "${adapter}", but a task reaches only unowned adapters and those of its own owner`)
}

function wrong(param: string, what: string): TroupeError {
  return new TroupeError('invalid_request', `task: ${param} ${what}`, { param })
}

export function taskNotFound(name: string): TroupeError {
  return new TroupeError('task_not_found', `there is no task "${name}"`)
}

/** What of a task is set, without what follows from its records. */
export function settingsOf(task: TaskSettings): TaskSettings {
  const { name, description, routes, shadow, pinned, prompt, system, defaults, sharedWith, gate, revision } = task
  const optional = { ...(sharedWith && { sharedWith }), ...(gate && { gate }) }
  return { name, description, routes, shadow, pinned, prompt, system, defaults, ...optional, revision }
}
