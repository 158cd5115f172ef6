import { TroupeError } from '../core/errors.ts'
import type { Activation, Route, ShadowRoute, TaskDefaults, TaskRecord } from './records.ts'
import { checkTask } from './task-document.ts'

const MAX_HISTORY = 50

/** What a task is to be. Fields left out stay as they are; of a new task they are empty. No routes = the base model. */
export interface TaskInput {
  readonly description?: string
  /** Versions left out = the newest ready one, pinned now. Weights left out = 1. */
  readonly routes?: readonly { readonly adapter: string; readonly version?: number; readonly weight?: number }[]
  /** Null = none any more. The version left out = the newest ready one; the sample left out = 1. */
  readonly shadow?: { readonly adapter: string; readonly version?: number; readonly sample?: number } | null
  readonly pinned?: boolean
  readonly prompt?: string | null
  readonly system?: string | null
  readonly defaults?: TaskDefaults
}

/** Who changes a task, and when. */
export interface ChangeStamp {
  readonly at: string
  readonly by: string
}

export function changeStamp(by: string): ChangeStamp {
  return { at: new Date().toISOString(), by }
}

/**
 * The task after a change of its settings.
 * @param pinned the input's routes and shadow with their versions; what is undefined stays as it is
 * @throws TroupeError `invalid_request`
 */
export function changedTask(
  current: TaskRecord | null,
  name: string,
  input: TaskInput,
  pinned: { readonly routes?: readonly Route[] | undefined; readonly shadow?: ShadowRoute | null | undefined },
  stamp: ChangeStamp,
): TaskRecord {
  const base = current ?? newTask(name, stamp)
  const task: TaskRecord = {
    ...base,
    description: input.description ?? base.description,
    prompt: input.prompt === undefined ? base.prompt : input.prompt,
    system: input.system === undefined ? base.system : input.system,
    defaults: input.defaults ?? base.defaults,
    shadow: pinned.shadow === undefined ? base.shadow : pinned.shadow,
    pinned: input.pinned ?? base.pinned,
    revision: base.revision + 1,
    updatedAt: stamp.at,
  }
  const { routes } = pinned
  if (!routes || sameRoutes(routes, base.routes)) {
    checkTask(task)
    return task
  }
  const changed = { ...task, routes, history: current ? remembered(base, stamp) : [] }
  checkTask(changed)
  return changed
}

/** The task with all its requests going to one version. History keeps where they went, who changed that, and when. */
export function activatedTask(current: TaskRecord, route: Route, stamp: ChangeStamp): TaskRecord {
  const routes = [route]
  if (sameRoutes(routes, current.routes)) return { ...current, revision: current.revision + 1, updatedAt: stamp.at }
  const history = remembered(current, stamp)
  const task = { ...current, routes, history, revision: current.revision + 1, updatedAt: stamp.at }
  checkTask(task)
  return task
}

/**
 * The task with the routes it had before. Steps back over routes whose versions are gone.
 * @param isServed whether requests can still go along a route
 * @throws TroupeError `rollback_empty`
 */
export function rolledBackTask(
  current: TaskRecord,
  stamp: ChangeStamp,
  isServed: (route: Route) => boolean,
): TaskRecord {
  const index = current.history.findLastIndex(({ routes }) => routes.every(isServed))
  const target: Activation | undefined = current.history[index]
  if (!target) {
    const message =
      current.history.length === 0
        ? `task "${current.name}" has no earlier activation to go back to`
        : `every version that task "${current.name}" was served by before is gone`
    throw new TroupeError('rollback_empty', message)
  }
  return {
    ...current,
    routes: target.routes,
    history: current.history.slice(0, index),
    revision: current.revision + 1,
    updatedAt: stamp.at,
  }
}

function newTask(name: string, stamp: ChangeStamp): TaskRecord {
  return {
    name,
    description: '',
    routes: [],
    shadow: null,
    pinned: false,
    prompt: null,
    system: null,
    defaults: {},
    history: [],
    revision: 0,
    createdAt: stamp.at,
    updatedAt: stamp.at,
  }
}

function remembered(task: TaskRecord, stamp: ChangeStamp): readonly Activation[] {
  return [...task.history, { revision: task.revision + 1, ...stamp, routes: task.routes }].slice(-MAX_HISTORY)
}

function sameRoutes(a: readonly Route[], b: readonly Route[]): boolean {
  return a.length === b.length && a.every((route, index) => sameRoute(route, b[index] as Route))
}

function sameRoute(a: Route, b: Route): boolean {
  return a.adapter === b.adapter && a.version === b.version && a.weight === b.weight
}
