import { Type } from 'typebox'
import type { TaskInput, VersionChoice } from '../../../catalogue/changes.ts'
import type { Activation } from '../../../catalogue/task.ts'
import { TroupeError } from '../../../core/errors.ts'
import { assertMayAlterTask, viewOf } from '../../../tenancy/access.ts'
import type { Caller } from '../../../tenancy/roles.ts'
import type { App } from '../../app.ts'
import { constrain, responseForm } from '../../../generation/answer-form.ts'
import type { ServerDeps } from '../../deps.ts'
import { NextSchema, numberKey, pageOf, pageQuery } from '../../wire/paging.ts'
import { Name, Strict, errorResponses } from '../../wire/common.ts'
import { originOf } from '../../wire/origin.ts'
import {
  ActivateBodySchema,
  ActivationSchema,
  SwitchedSchema,
  TaskBodySchema,
  TaskSchema,
  activationBody,
  gateOf,
  routesBody,
  taskBody,
} from './schema.ts'
import type { TaskRequest } from './schema.ts'

const byTask = Strict({ task: Name })
const tags = ['tasks']

const schemas = {
  put: {
    operationId: 'putTask',
    tags,
    summary: 'Create or change a task',
    params: byTask,
    body: TaskBodySchema,
    response: {
      200: TaskSchema('The changed task.'),
      201: TaskSchema('The new task.'),
      ...errorResponses(400, 401, 403, 404, 409, 415, 500),
    },
  },
  list: {
    operationId: 'listTasks',
    tags,
    summary: 'List tasks by name',
    querystring: Strict({
      prefix: Type.Optional(Type.String({ description: 'Only names that begin with this.' })),
      ...pageQuery,
    }),
    response: {
      200: Strict(
        { data: Type.Array(TaskSchema()), next: NextSchema },
        { title: 'TaskList', description: 'One page; `next` is null on the last one.' },
      ),
      ...errorResponses(400, 401),
    },
  },
  get: {
    operationId: 'getTask',
    tags,
    summary: 'One task',
    params: byTask,
    response: { 200: TaskSchema(), ...errorResponses(400, 401, 404) },
  },
  history: {
    operationId: 'listTaskHistory',
    tags,
    summary: 'Where a task’s requests went before, the last first',
    params: byTask,
    querystring: Strict(pageQuery),
    response: {
      200: Strict(
        { data: Type.Array(ActivationSchema), next: NextSchema },
        { title: 'TaskHistory', description: 'One page; `next` is null on the last one.' },
      ),
      ...errorResponses(400, 401, 404),
    },
  },
  delete: {
    operationId: 'deleteTask',
    tags,
    summary: 'Delete a task; its adapters stay',
    params: byTask,
    response: {
      204: { ...Type.Null(), description: 'It is gone.' },
      ...errorResponses(400, 401, 403, 404, 409, 500),
    },
  },
  activate: {
    operationId: 'activateVersion',
    tags,
    summary: 'Send a task’s requests to an adapter version, from now on',
    params: byTask,
    body: ActivateBodySchema,
    response: { 200: SwitchedSchema, ...errorResponses(400, 401, 403, 404, 409, 415, 500) },
  },
  rollback: {
    operationId: 'rollbackTask',
    tags,
    summary: 'Send a task’s requests back to where they went before',
    params: byTask,
    response: { 200: SwitchedSchema, ...errorResponses(400, 401, 403, 404, 409, 500) },
  },
}

/** `/v1/tasks …` but for `generate`. */
export function taskRoutes(app: App, deps: ServerDeps): void {
  const { catalogue, changes } = deps
  app.put('/v1/tasks/:task', { schema: schemas.put }, async (request, reply) => {
    const { body, caller, params } = request
    assertMayAlterTask(catalogue.state, caller, params.task)
    const preset = body.defaults?.response_format
    // A form that cannot be enforced is refused now, not by the first request.
    if (preset) await constrain(deps, responseForm(preset, 'defaults.response_format'), caller.tenant)
    const input = taskInput(catalogue, caller, body)
    const { task, created } = await changes.putTask(params.task, input, originOf(request))
    return reply.code(created ? 201 : 200).send(taskBody(task))
  })

  app.get('/v1/tasks', { schema: schemas.list }, async ({ caller, query }) => {
    const named = catalogue.listTasks(viewOf(caller)).filter(({ name }) => name.startsWith(query.prefix ?? ''))
    const { data, next } = pageOf(named, ({ name }) => name, query)
    return { data: data.map(taskBody), next }
  })

  app.get('/v1/tasks/:task', { schema: schemas.get }, async ({ caller, params }) =>
    taskBody(catalogue.getTask(params.task, viewOf(caller))),
  )

  app.get('/v1/tasks/:task/history', { schema: schemas.history }, async ({ caller, params, query }) => {
    const { history } = catalogue.getTask(params.task, viewOf(caller))
    const keyOf = ({ revision }: Activation): string => numberKey(Number.MAX_SAFE_INTEGER - revision)
    const { data, next } = pageOf([...history].reverse(), keyOf, query)
    return { data: data.map(activationBody), next }
  })

  app.delete('/v1/tasks/:task', { schema: schemas.delete }, async (request, reply) => {
    const { caller, params } = request
    assertMayAlterTask(catalogue.state, caller, params.task)
    await changes.deleteTask(params.task, originOf(request))
    return reply.code(204).send(null)
  })

  app.post('/v1/tasks/:task/activate', { schema: schemas.activate }, async (request) => {
    const { body, caller, params } = request
    assertMayAlterTask(catalogue.state, caller, params.task)
    const choice = visible(catalogue, caller, body)
    const { task, previous } = await changes.activate(params.task, choice, originOf(request))
    return { task: taskBody(task), previous: routesBody(previous) }
  })

  app.post('/v1/tasks/:task/rollback', { schema: schemas.rollback }, async (request) => {
    const { caller, params } = request
    assertMayAlterTask(catalogue.state, caller, params.task)
    const { task, previous } = await changes.rollback(params.task, originOf(request))
    return { task: taskBody(task), previous: routesBody(previous) }
  })
}

function taskInput(catalogue: ServerDeps['catalogue'], caller: Caller, body: TaskRequest): TaskInput {
  const { adapter, version, routes, shadow, gate, shared_with: sharedWith, ...rest } = body
  if (adapter !== undefined && routes !== undefined)
    throw new TroupeError('invalid_request', 'send either `adapter` or `routes`', { param: 'routes' })
  if (version !== undefined && adapter === undefined)
    throw new TroupeError('invalid_request', '`version` needs `adapter`', { param: 'version' })
  const wanted = adapter === undefined ? routes : [{ adapter, ...(version === undefined ? {} : { version }) }]
  return {
    ...rest,
    ...(sharedWith && { sharedWith }),
    ...(wanted ? { routes: wanted.map((route) => visible(catalogue, caller, route)) } : {}),
    ...(gate === undefined ? {} : { gate: gate && gateOf(gate) }),
    ...(shadow === undefined ? {} : { shadow: shadow && visible(catalogue, caller, shadow) }),
  }
}

/** The same, of an adapter that the caller sees; of others it is not told whether there are any. */
function visible<C extends VersionChoice>(catalogue: ServerDeps['catalogue'], caller: Caller, choice: C): C {
  catalogue.getAdapter(choice.adapter, viewOf(caller))
  return choice
}
