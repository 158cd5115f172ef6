import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import { checkName, ownerOf } from './names.ts'
import type { Activation, Route, ShadowRoute, TaskDefaults, TaskRecord } from './records.ts'

const MAX_ROUTES = 16
const INPUT_SLOT = '{input}'
const KEYS = [
  ...['name', 'description', 'routes', 'shadow', 'pinned', 'prompt', 'system', 'defaults'],
  ...['history', 'revision', 'createdAt', 'updatedAt'],
]
const NUMERIC_DEFAULTS = [
  ...['max_tokens', 'temperature', 'top_k', 'top_p', 'min_p', 'repetition_penalty'],
  ...['presence_penalty', 'frequency_penalty', 'seed'],
]

export function renderTask(task: TaskRecord): string {
  return `${JSON.stringify(task, null, 2)}\n`
}

/**
 * Reads a task file. People write such files too: only `routes` is needed, the rest has neutral values.
 * @param name as the path says
 * @param writtenAt ISO time used where the file has none
 * @throws TroupeError `invalid_request` naming the field
 */
export function parseTask(text: string, name: string, writtenAt: string): TaskRecord {
  const json = parseJsonObject(text, 'task', 'invalid_request')
  const unknown = Object.keys(json).find((key) => !KEYS.includes(key))
  if (unknown !== undefined) throw wrong(unknown, `is unknown; known are ${KEYS.join(', ')}`)
  if (json.name !== undefined && json.name !== name) throw wrong('name', `must be "${name}", as the file's path says`)
  const revision = json.revision ?? 1
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 1) {
    throw wrong('revision', 'must be a positive integer')
  }
  const task: TaskRecord = {
    name,
    description: textOr(json, 'description', ''),
    routes: routesOf(json.routes, 'routes'),
    shadow: shadowOf(json.shadow),
    pinned: flagOf(json, 'pinned'),
    prompt: textOr(json, 'prompt', null),
    system: textOr(json, 'system', null),
    defaults: defaultsOf(json.defaults),
    history: historyOf(json.history),
    revision,
    createdAt: textOr(json, 'createdAt', writtenAt),
    updatedAt: textOr(json, 'updatedAt', writtenAt),
  }
  checkTask(task)
  return task
}

/**
 * What holds for every task, whoever wrote it. A task reaches only adapters of its own owner and unowned ones: so whoever may see
 * the task may be answered by what it routes to.
 * @throws TroupeError `invalid_request` naming the field
 */
export function checkTask(task: Pick<TaskRecord, 'name' | 'routes' | 'shadow' | 'prompt' | 'defaults'>): void {
  checkName(task.name, 'task')
  if (task.routes.length > MAX_ROUTES) throw wrong('routes', `has more than ${MAX_ROUTES} entries`)
  for (const route of task.routes) {
    checkReach(task.name, route.adapter, 'routes')
    if (!Number.isFinite(route.weight) || route.weight < 0)
      throw wrong('routes', 'has a weight that is negative or no number')
  }
  const total = task.routes.reduce((sum, route) => sum + route.weight, 0)
  if (task.routes.length > 0 && !(total > 0 && Number.isFinite(total))) throw wrong('routes', 'needs a weight above 0')
  if (task.shadow) {
    checkReach(task.name, task.shadow.adapter, 'shadow')
    const { sample } = task.shadow
    if (!(sample > 0 && sample <= 1)) throw wrong('shadow', 'needs a sample above 0 and up to 1')
  }
  if (task.prompt !== null && task.prompt.split(INPUT_SLOT).length !== 2) {
    throw wrong('prompt', `must contain ${INPUT_SLOT} exactly once`)
  }
  defaultsOf(task.defaults)
}

function checkReach(task: string, adapter: string, param: string): void {
  checkName(adapter, 'adapter')
  const owner = ownerOf(adapter)
  if (owner === null || owner === ownerOf(task)) return
  throw wrong(param, `names "${adapter}", but a task reaches only unowned adapters and those of its own owner`)
}

function routesOf(value: unknown, param: string): readonly Route[] {
  if (!Array.isArray(value)) throw wrong(param, 'must be a list of {adapter, version, weight}')
  return value.map((item: unknown): Route => {
    if (!isJsonObject(item)) throw wrong(param, 'must be a list of objects')
    const { adapter, version, weight = 1 } = item
    if (typeof adapter !== 'string') throw wrong(param, 'needs an adapter name in every entry')
    if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) {
      throw wrong(param, 'needs a version number from 1 in every entry')
    }
    if (typeof weight !== 'number') throw wrong(param, 'has a weight that is no number')
    return { adapter, version, weight }
  })
}

function shadowOf(value: unknown): ShadowRoute | null {
  if (value === undefined || value === null) return null
  const [route] = routesOf([value], 'shadow')
  const sample = isJsonObject(value) ? (value.sample ?? 1) : 1
  if (!route || typeof sample !== 'number') throw wrong('shadow', 'must be {adapter, version, sample}')
  return { adapter: route.adapter, version: route.version, sample }
}

function flagOf(json: JsonObject, key: string): boolean {
  const value = json[key] ?? false
  if (typeof value !== 'boolean') throw wrong(key, 'must be true or false')
  return value
}

function historyOf(value: unknown): readonly Activation[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw wrong('history', 'must be a list')
  return value.map((item: unknown, index): Activation => {
    if (!isJsonObject(item) || typeof item.at !== 'string' || typeof item.by !== 'string') {
      throw wrong('history', 'needs at, by and routes in every entry')
    }
    // People need not count: their entries get the numbers of their places.
    const revision = item.revision ?? index + 1
    if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 1) {
      throw wrong('history', 'has a revision that is no positive integer')
    }
    return { revision, at: item.at, by: item.by, routes: routesOf(item.routes, 'history') }
  })
}

function defaultsOf(value: unknown): TaskDefaults {
  if (value === undefined) return {}
  if (!isJsonObject(value)) throw wrong('defaults', 'must be an object')
  for (const [key, item] of Object.entries(value)) {
    const param = `defaults.${key}`
    if (key === 'stop') {
      if (!Array.isArray(item) || !item.every((stop) => typeof stop === 'string'))
        throw wrong(param, 'must be a list of texts')
    } else if (key === 'response_format') {
      if (!isJsonObject(item)) throw wrong(param, 'must be an object')
    } else if (!NUMERIC_DEFAULTS.includes(key)) {
      throw wrong(param, `is unknown; known are ${NUMERIC_DEFAULTS.join(', ')}, stop and response_format`)
    } else if (typeof item !== 'number' || !Number.isFinite(item)) throw wrong(param, 'must be a number')
  }
  return value
}

function textOr<T extends string | null>(json: JsonObject, key: string, absent: T): string | T {
  const value = json[key]
  if (value === undefined || value === null) return absent
  if (typeof value !== 'string') throw wrong(key, 'must be a text')
  return value
}

function wrong(param: string, what: string): TroupeError {
  return new TroupeError('invalid_request', `task: ${param} ${what}`, { param })
}
