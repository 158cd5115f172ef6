import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { Activation, Gate, Route, TaskRecord } from '../../../catalogue/task.ts'
import { TroupeError } from '../../../core/errors.ts'
import { METRICS } from '../../../evaluation/record.ts'
import { versionName } from '../../../generation/target.ts'
import { ResponseFormat } from '../../fields/structured-output.ts'
import { Name, SharedWith, Strict, VersionRef } from '../../wire/common.ts'

const TaskDefaultsSchema = Strict(
  {
    max_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
    top_k: Type.Optional(Type.Integer({ minimum: 0 })),
    top_p: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    min_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    repetition_penalty: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 10 })),
    presence_penalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
    frequency_penalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
    seed: Type.Optional(Type.Integer({ minimum: -(2 ** 52), maximum: 2 ** 52 })),
    stop: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { maxItems: 16 })),
    response_format: Type.Optional(ResponseFormat),
  },
  { title: 'TaskDefaults', description: 'Fields of the generation routes, used where a request does not set them.' },
)

const RouteRef = Strict({
  adapter: Name,
  version: Type.Optional(VersionRef),
  weight: Type.Optional(Type.Number({ minimum: 0, description: 'Share of the requests; default 1.' })),
})

const GateBody = Strict(
  {
    set: Type.String({ pattern: '^sha256:[0-9a-f]{64}$', description: 'The set’s digest, as evaluations show it.' }),
    metric: Type.Enum(METRICS.filter((metric) => metric !== 'perplexity')),
    min: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    not_worse_than: Type.Optional(Type.Literal('current')),
    confidence: Type.Optional(Type.Number({ minimum: 0.5, maximum: 0.999, description: 'Default 0.95.' })),
  },
  { title: 'Gate', description: 'What a version must show in an evaluation before the task routes to it.' },
)

export const TaskBodySchema = Strict(
  {
    description: Type.Optional(Type.String({ maxLength: 4096 })),
    adapter: Type.Optional(Name),
    version: Type.Optional(VersionRef),
    routes: Type.Optional(
      Type.Array(RouteRef, { maxItems: 16, description: 'Instead of `adapter`; empty = the base.' }),
    ),
    shadow: Type.Optional(
      Type.Union(
        [
          Strict({
            adapter: Name,
            version: Type.Optional(VersionRef),
            sample: Type.Optional(
              Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'Share of the requests; default 1.' }),
            ),
          }),
          Type.Null(),
        ],
        { description: 'A version that runs a sample again after the answer, to be compared. Null = none any more.' },
      ),
    ),
    pinned: Type.Optional(Type.Boolean({ description: 'Keep the routes’ versions in memory.' })),
    prompt: Type.Optional(
      Type.Union([Type.String(), Type.Null()], { description: 'Text around the input, with `{input}` where it goes.' }),
    ),
    system: Type.Optional(
      Type.Union([Type.String(), Type.Null()], { description: 'System message put before `messages`.' }),
    ),
    defaults: Type.Optional(TaskDefaultsSchema),
    shared_with: Type.Optional(SharedWith),
    gate: Type.Optional(Type.Union([GateBody, Type.Null()], { description: 'Null = none any more.' })),
  },
  {
    title: 'TaskRequest',
    examples: [{ adapter: 'ticket-json', prompt: 'Ticket:\n{input}\n\nJSON:\n', defaults: { max_tokens: 80 } }],
    description: 'Fields left out keep their value; versions left out are the newest ready ones.',
  },
)
export type TaskRequest = Static<typeof TaskBodySchema>

export const ActivateBodySchema = Strict(
  { adapter: Name, version: Type.Optional(VersionRef) },
  {
    title: 'ActivateRequest',
    description: 'Without a version: the newest ready one.',
    examples: [{ adapter: 'ticket-json-bn', version: 'v1' }],
  },
)

const RouteSchema = Strict(
  { adapter: Type.String(), version: Type.String(), weight: Type.Number() },
  { title: 'Route', description: 'Always pinned to one version.' },
)

export const ActivationSchema = Strict(
  {
    revision: Type.Integer({ description: 'Revision of the task that ended these routes.' }),
    at: Type.String(),
    by: Type.String(),
    routes: Type.Array(RouteSchema),
  },
  { title: 'Activation', description: 'Former routes: who ended them, and when.' },
)

/** One schema per description it is used under. */
export function TaskSchema(description = 'The task.') {
  return Strict(
    {
      task: Type.String(),
      description: Type.String(),
      routes: Type.Array(RouteSchema),
      shadow: Type.Union([
        Strict({ adapter: Type.String(), version: Type.String(), sample: Type.Number() }),
        Type.Null(),
      ]),
      pinned: Type.Boolean(),
      prompt: Type.Union([Type.String(), Type.Null()]),
      system: Type.Union([Type.String(), Type.Null()]),
      defaults: TaskDefaultsSchema,
      shared_with: SharedWith,
      gate: Type.Union([GateBody, Type.Null()]),
      history: Type.Array(ActivationSchema, {
        description: 'Former routes, oldest first; `rollback` returns to the last.',
      }),
      revision: Type.Integer(),
      created_at: Type.String(),
      updated_at: Type.String(),
    },
    { title: 'Task', description },
  )
}

export const SwitchedSchema = Strict(
  { task: TaskSchema(), previous: Type.Array(RouteSchema) },
  {
    title: 'Switched',
    description: 'The task now, and where it went before. Requests in flight finish where they began.',
  },
)

type TaskBody = Static<ReturnType<typeof TaskSchema>>

/** A task as it is written on the wire. */
export function taskBody(record: TaskRecord): TaskBody {
  const { stop, response_format: format, ...numbers } = record.defaults
  return {
    task: record.name,
    description: record.description,
    routes: routesBody(record.routes),
    shadow: record.shadow && { ...record.shadow, version: versionName(record.shadow.version) },
    pinned: record.pinned,
    prompt: record.prompt,
    system: record.system,
    defaults: {
      ...numbers,
      ...(stop && { stop: [...stop] }),
      // It was checked when the task was written.
      ...(format && { response_format: format as Static<typeof ResponseFormat> }),
    },
    shared_with: [...(record.sharedWith ?? [])],
    gate: gateBody(record.gate ?? null),
    history: record.history.map(activationBody),
    revision: record.revision,
    created_at: record.createdAt,
    updated_at: record.updatedAt,
  }
}

function gateBody(gate: Gate | null): TaskBody['gate'] {
  if (!gate) return null
  const { set, metric, min, notWorseThanCurrent, confidence } = gate
  return {
    set,
    metric: metric as Static<typeof GateBody>['metric'],
    ...(min !== null && { min }),
    ...(notWorseThanCurrent && { not_worse_than: 'current' as const }),
    confidence,
  }
}

/** A gate as the catalogue keeps it. @throws TroupeError `invalid_request` for one that asks for nothing */
export function gateOf(gate: Static<typeof GateBody>): Gate {
  const { set, metric, min = null, not_worse_than: rival, confidence = 0.95 } = gate
  if (min === null && rival === undefined)
    throw new TroupeError('invalid_request', '`gate` asks for nothing: give it `min`, `not_worse_than`, or both', {
      param: 'gate',
    })
  return { set, metric, min, notWorseThanCurrent: rival !== undefined, confidence }
}

/** An entry of the history as it is written on the wire. */
export function activationBody({ revision, at, by, routes }: Activation): Static<typeof ActivationSchema> {
  return { revision, at, by, routes: routesBody(routes) }
}

/** Routes as they are written on the wire. */
export function routesBody(routes: readonly Route[]): TaskBody['routes'] {
  return routes.map(({ adapter, version, weight }) => ({ adapter, version: versionName(version), weight }))
}
