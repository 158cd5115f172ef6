import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { EvaluationRuns } from '../../../evaluation/runs.ts'
import { METRICS } from '../../../evaluation/record.ts'
import type { Evaluation } from '../../../evaluation/record.ts'
import { ItemSchema, MAX_ITEMS } from '../../../evaluation/set.ts'
import { versionName } from '../../../generation/target.ts'
import { Maybe, Name, Strict } from '../../wire/common.ts'
import { MixesSchema, PinnedMixSchema } from '../../wire/mixes.ts'

const MetricSchema = Type.Enum([...METRICS])

export const EvaluationBody = Strict(
  {
    name: Maybe(Type.String({ minLength: 1, maxLength: 200, description: 'For people.' })),
    /** Its prompt, system message and defaults hold for every mix. */
    task: Maybe(Name),
    mixes: MixesSchema,
    items: Maybe(Type.Array(ItemSchema, { minItems: 1, maxItems: MAX_ITEMS })),
    set: Maybe(
      Type.String({
        pattern: '^sha256:[0-9a-f]{64}$',
        description: 'Instead of `items`: the set of an earlier evaluation.',
      }),
    ),
    metrics: Maybe(Type.Array(MetricSchema, { minItems: 1, description: 'Default: `exact_match`.' })),
    pattern: Maybe(Type.String({ minLength: 1, maxLength: 1000, description: 'For `regex`: ECMAScript.' })),
    schema: Maybe(Type.Record(Type.String(), Type.Unknown(), { description: 'For `json_schema`.' })),
    max_tokens: Maybe(Type.Integer({ minimum: 1, description: 'Default: the task’s, else 256, or what fits.' })),
    temperature: Maybe(Type.Number({ minimum: 0, maximum: 2, description: 'Default: the task’s, else greedy.' })),
    top_k: Maybe(Type.Integer({ minimum: 0 })),
    top_p: Maybe(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    min_p: Maybe(Type.Number({ minimum: 0, maximum: 1 })),
    repetition_penalty: Maybe(Type.Number({ exclusiveMinimum: 0, maximum: 10 })),
    stop: Maybe(Type.Array(Type.String({ minLength: 1 }), { maxItems: 16 })),
    seed: Maybe(Type.Integer({ minimum: 0, maximum: 2 ** 31, description: 'Of draws and intervals; default 0.' })),
    confidence: Maybe(Type.Number({ minimum: 0.5, maximum: 0.999, description: 'Of the intervals; default 0.95.' })),
  },
  {
    title: 'EvaluationRequest',
    description: 'Exactly one of `items` and `set`.',
    examples: [
      {
        task: 'ticket-department',
        mixes: [{ model: 'base' }, { model: 'ticket-department' }],
        items: [{ input: 'My parcel has not arrived.', expected: 'Shipping' }],
      },
    ],
  },
)
export type EvaluationRequest = Static<typeof EvaluationBody>

const Estimate = Strict(
  { value: Type.Number(), low: Type.Number(), high: Type.Number() },
  { title: 'Estimate', description: 'With its bootstrap interval.' },
)
const Null = Type.Null()

const ScoredMixSchema = Strict(
  {
    ...PinnedMixSchema.properties,
    metrics: Type.Record(Type.String(), Estimate, { description: 'Empty until the evaluation is done.' }),
    fields: Type.Record(Type.String(), Type.Number(), {
      description: 'With `json_fields`: share of the items with this field right.',
    }),
    failed: Type.Integer({ description: 'Items without an answer; they score 0.' }),
    tokens: Type.Integer(),
    tokens_per_second: Type.Union([Type.Number(), Null], { description: 'Of a sequence, after its first token.' }),
  },
  { title: 'ScoredMix' },
)

export const EvaluationSchema = Strict(
  {
    id: Type.String(),
    name: Type.String(),
    status: Type.Enum(['queued', 'running', 'done', 'failed', 'cancelled']),
    reason: Type.Union([Type.String(), Null]),
    progress: Strict({
      done: Type.Union([Type.Integer(), Null], { description: 'Answers so far; null where another server counts.' }),
      total: Type.Integer({ description: 'Items times mixes.' }),
    }),
    created_at: Type.String(),
    created_by: Type.String(),
    ended_at: Type.Union([Type.String(), Null]),
    task: Type.Union([Type.String(), Null]),
    base: Strict({ name: Type.String(), fingerprint: Type.String() }),
    set: Strict({ digest: Type.String(), items: Type.Integer() }),
    metrics: Type.Array(MetricSchema),
    pattern: Type.Union([Type.String(), Null]),
    schema: Type.Union([Type.Record(Type.String(), Type.Unknown()), Null]),
    sampling: Type.Record(Type.String(), Type.Unknown()),
    seed: Type.Integer(),
    confidence: Type.Number(),
    mixes: Type.Array(ScoredMixSchema),
    comparisons: Type.Array(
      Strict({
        a: Type.Integer(),
        b: Type.Integer(),
        metric: MetricSchema,
        difference: Estimate,
        mcnemar: Type.Union(
          [Strict({ only_a: Type.Integer(), only_b: Type.Integer(), p_value: Type.Number() }), Null],
          {
            description: 'McNemar’s exact test, where items pass or fail.',
          },
        ),
      }),
      { description: 'Each two mixes on the same items: score of `a` minus score of `b`.' },
    ),
  },
  { title: 'Evaluation' },
)
export type EvaluationBodyOut = Static<typeof EvaluationSchema>

export const AnswerSchema = Strict(
  {
    item: Type.Integer(),
    mix: Type.Integer(),
    text: Type.Union([Type.String(), Null]),
    tokens: Type.Integer(),
    error: Type.Union([Type.String(), Null]),
  },
  { title: 'EvaluationAnswer' },
)

/** An evaluation as it is written on the wire. */
export function evaluationBody(
  evaluation: Evaluation,
  progress: ReturnType<EvaluationRuns['progress']>,
): EvaluationBodyOut {
  const { spec, end, worker, createdAt, createdBy } = evaluation
  const result = end?.result ?? null
  return {
    ...{ id: spec.id, name: spec.name, progress },
    status: end?.status ?? (worker ? 'running' : 'queued'),
    reason: end?.reason ?? null,
    ...{ created_at: createdAt, created_by: createdBy, ended_at: end?.at ?? null },
    task: spec.task?.name ?? null,
    base: spec.base,
    set: { digest: spec.set.digest, items: spec.set.items },
    metrics: [...spec.metrics],
    ...{ pattern: spec.pattern, schema: spec.schema, sampling: spec.sampling, seed: spec.seed },
    confidence: spec.confidence,
    mixes: spec.mixes.map(({ label, adapters, bytes, parameters }, index) => {
      const scored = result?.mixes[index]
      return {
        ...{ index, label, bytes, trained_parameters: parameters },
        adapters: adapters.map(({ adapter, version, digest, scale }) => {
          return { name: adapter, version: versionName(version), digest, scale }
        }),
        metrics: { ...scored?.metrics },
        fields: { ...scored?.fields },
        failed: scored?.failed ?? 0,
        tokens: scored?.tokens ?? 0,
        tokens_per_second: scored?.tokensPerSecond ?? null,
      }
    }),
    comparisons: (result?.comparisons ?? []).map(({ metric, ...rest }) => ({
      ...rest,
      metric: metric as EvaluationBodyOut['metrics'][number],
    })),
  }
}
