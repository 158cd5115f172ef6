import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { TaskDefaultsSchema } from '../catalogue/task.ts'
import type { DeepReadonly } from '../core/readonly.ts'

/** What can be scored. */
export const METRICS = [
  'exact_match',
  'normalized_match',
  'token_f1',
  'rouge_l',
  'json_fields',
  'regex',
  'json_schema',
  'choice',
  'perplexity',
] as const
export type Metric = (typeof METRICS)[number]

/** Those with a pass or a failure per item. */
export const PASS_METRICS: readonly Metric[] = [
  'exact_match',
  'normalized_match',
  'json_fields',
  'regex',
  'json_schema',
  'choice',
]

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

const PinnedMixSchema = Type.Object({
  label: Type.String(),
  adapters: Type.Array(
    Type.Object({
      adapter: Type.String(),
      version: Type.Integer(),
      digest: Type.String(),
      scale: Type.Number(),
      virtualTokens: Type.Integer(),
    }),
  ),
  stack: Type.Boolean(),
  /** Of its adapters, when the evaluation was made. */
  bytes: Type.Integer(),
  parameters: Type.Integer(),
})

/** Everything an evaluation's result depends on, with digests in the place of names. */
export const EvaluationSpecSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  tenant: Type.String(),
  base: Type.Object({ name: Type.String(), fingerprint: Type.String() }),
  /** Its prompt, system message and defaults as they were; null = inputs are prompts. */
  task: Nullable(
    Type.Object({
      name: Type.String(),
      prompt: Nullable(Type.String()),
      system: Nullable(Type.String()),
      defaults: TaskDefaultsSchema,
    }),
  ),
  mixes: Type.Array(PinnedMixSchema, { minItems: 1, maxItems: 16 }),
  set: Type.Object({ digest: Type.String(), blob: Type.String(), items: Type.Integer({ minimum: 1 }) }),
  metrics: Type.Array(Type.Enum([...METRICS]), { minItems: 1 }),
  /** What `regex` looks for. */
  pattern: Nullable(Type.String()),
  /** What `json_schema` checks. */
  schema: Nullable(Type.Record(Type.String(), Type.Unknown())),
  sampling: TaskDefaultsSchema,
  /** Of the draws and of the intervals. */
  seed: Type.Integer(),
  /** Of the intervals. */
  confidence: Type.Number(),
})
export type EvaluationSpec = DeepReadonly<Static<typeof EvaluationSpecSchema>>

const EstimateSchema = Type.Object({ value: Type.Number(), low: Type.Number(), high: Type.Number() })

/** What came of it. */
export const ResultSchema = Type.Object({
  mixes: Type.Array(
    Type.Object({
      metrics: Type.Record(Type.String(), EstimateSchema),
      /** Shares of the items with this field right, by path; the first hundred. */
      fields: Type.Record(Type.String(), Type.Number()),
      /** Items it gave no answer to; they score 0. */
      failed: Type.Integer(),
      tokens: Type.Integer(),
      /** Of a sequence, from its first token to its last, on the average. */
      tokensPerSecond: Nullable(Type.Number()),
    }),
  ),
  comparisons: Type.Array(
    Type.Object({
      a: Type.Integer(),
      b: Type.Integer(),
      metric: Type.String(),
      /** Score of a minus score of b, over the same items. */
      difference: EstimateSchema,
      mcnemar: Nullable(Type.Object({ only_a: Type.Integer(), only_b: Type.Integer(), p_value: Type.Number() })),
    }),
  ),
})
export type EvaluationResult = DeepReadonly<Static<typeof ResultSchema>>

/** How an evaluation ended. */
export const EndFields = {
  status: Type.Enum(['done', 'failed', 'cancelled']),
  reason: Nullable(Type.String()),
  result: Nullable(ResultSchema),
}

/** The process that works on an evaluation. */
export const WorkerFields = { server: Type.String(), process: Type.String() }

export const EvaluationSchema = Type.Object({
  spec: EvaluationSpecSchema,
  createdAt: Type.String(),
  createdBy: Type.String(),
  worker: Nullable(Type.Object(WorkerFields)),
  end: Nullable(Type.Object({ at: Type.String(), ...EndFields })),
})
export type Evaluation = DeepReadonly<Static<typeof EvaluationSchema>>
export type EvaluationEnd = NonNullable<Evaluation['end']>
