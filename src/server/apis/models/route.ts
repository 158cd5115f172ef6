import { Type } from 'typebox'
import type { Static } from 'typebox'
import { TroupeError } from '../../../core/errors.ts'
import { viewOf } from '../../../tenancy/access.ts'
import type { Caller } from '../../../tenancy/roles.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import type { SamplingWish } from '../../../generation/sampling.ts'
import { versionName } from '../../../generation/target.ts'
import { Strict, errorResponses } from '../../wire/common.ts'

const Defaults = Strict(
  {
    temperature: Type.Optional(Type.Number()),
    top_k: Type.Optional(Type.Integer()),
    top_p: Type.Optional(Type.Number()),
    min_p: Type.Optional(Type.Number()),
    repetition_penalty: Type.Optional(Type.Number()),
    max_tokens: Type.Optional(Type.Integer()),
  },
  { description: 'Of the base model’s makers (generation_config.json): used where neither request nor task say more.' },
)

const Model = Strict(
  {
    id: Type.String({ description: 'What to send as `model`.' }),
    object: Type.Literal('model'),
    created: Type.Integer(),
    owned_by: Type.String(),
    root: Type.String({ description: 'The adapter of a version; else the id itself.' }),
    parent: Type.Union([Type.String(), Type.Null()], { description: 'The base model, of what runs on it.' }),
    max_model_len: Type.Integer({ description: 'Longest prompt + answer, in tokens.' }),
    troupe: Strict({
      kind: Type.Enum(['base', 'task', 'adapter', 'version']),
      description: Type.Optional(Type.String()),
      /** Of an adapter: its newest ready version. */
      version: Type.Optional(Type.String()),
      digest: Type.Optional(Type.String()),
      method: Type.Optional(Type.String()),
      fingerprint: Type.Optional(Type.String()),
      max_context: Type.Optional(Type.Integer()),
      defaults: Type.Optional(Defaults),
    }),
  },
  { title: 'Model' },
)
type ModelBody = Static<typeof Model>

const listSchema = {
  operationId: 'listModels',
  tags: ['openai'],
  summary: 'Everything `model` can name: the base model, tasks, adapters and their versions',
  response: {
    200: Strict(
      { object: Type.Literal('list'), data: Type.Array(Model) },
      { title: 'ModelList', description: 'All this key can see.' },
    ),
    ...errorResponses(401),
  },
}

const getSchema = {
  operationId: 'getModel',
  tags: ['openai'],
  summary: 'One model',
  params: Strict({ model: Type.String({ maxLength: 256 }) }),
  response: { 200: Model, ...errorResponses(400, 401, 404) },
}

/** `GET /v1/models`, `GET /v1/models/{model}` */
export function modelRoutes(app: App, deps: ServerDeps): void {
  const startedAt = new Date().toISOString()

  app.get('/v1/models', { schema: listSchema }, async ({ caller }) => ({
    object: 'list' as const,
    data: models(deps, caller, startedAt),
  }))

  app.get('/v1/models/:model', { schema: getSchema }, async ({ caller, params }) => {
    const found = models(deps, caller, startedAt).find(({ id }) => id === params.model)
    if (found) return found
    throw new TroupeError('model_not_found', `no model \`${params.model}\`; \`GET /v1/models\` lists them`, {
      param: 'model',
    })
  })
}

/** The same name means a task before an adapter before the base model, as in requests. */
function models(deps: ServerDeps, caller: Caller, startedAt: string): ModelBody[] {
  const { engine, catalogue, settings } = deps
  const view = viewOf(caller)
  const { name, fingerprint } = engine.info
  const model = (id: string, createdAt: string, troupe: ModelBody['troupe']): ModelBody => ({
    ...{ id, object: 'model', created: Math.floor(Date.parse(createdAt) / 1000), owned_by: ownerOf(id) },
    ...{ root: troupe.kind === 'version' ? id.slice(0, id.indexOf('@')) : id, parent: troupe.kind === 'base' ? null : name },
    ...{ max_model_len: settings.maxContext, troupe },
  })
  const defaults = defaultsBody(deps.modelDefaults)
  const base = model(name, startedAt, { kind: 'base', fingerprint, max_context: settings.maxContext, defaults })
  const tasks = catalogue
    .listTasks(view)
    .map((task) => model(task.name, task.createdAt, { kind: 'task', description: task.description }))
  const adapters = catalogue.listAdapters(view).flatMap((adapter) => {
    const ready = adapter.versions.filter(({ state }) => state === 'ready')
    const newest = ready.at(-1)
    if (!newest) return []
    const facts = ({ version, digest, method }: typeof newest) => ({ version: versionName(version), digest, method })
    return [
      model(adapter.name, adapter.createdAt, { kind: 'adapter', ...facts(newest) }),
      ...ready.map((version) =>
        model(`${adapter.name}@${versionName(version.version)}`, version.createdAt, {
          kind: 'version',
          ...facts(version),
        }),
      ),
    ]
  })
  const taken = new Set(tasks.map(({ id }) => id))
  const named = [...tasks, ...adapters.filter(({ id }) => !taken.has(id))]
  return named.some(({ id }) => id === name) ? named : [base, ...named]
}

function ownerOf(id: string): string {
  const slash = id.indexOf('/')
  return slash < 0 ? 'troupe' : id.slice(0, slash)
}

function defaultsBody(defaults: SamplingWish): Static<typeof Defaults> {
  const { temperature, topK, topP, minP, repetitionPenalty, maxTokens } = defaults
  const named = [
    ...([['temperature', temperature], ['top_k', topK], ['top_p', topP], ['min_p', minP]] as const),
    ...([['repetition_penalty', repetitionPenalty], ['max_tokens', maxTokens]] as const),
  ]
  return Object.fromEntries(named.filter(([, value]) => typeof value === 'number'))
}
