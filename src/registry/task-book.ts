import { TroupeError } from '../core/errors.ts'
import type { Catalogue } from './catalogue.ts'
import { checkName, NEWEST, ownerOf } from './names.ts'
import type { Route, ShadowRoute, TaskRecord } from './records.ts'
import type { RegistryStore } from './store/port.ts'
import type { ChangeStamp, TaskInput } from './task-changes.ts'
import { activatedTask, changedTask, rolledBackTask } from './task-changes.ts'

const ATTEMPTS = 5

export interface TaskChange {
  readonly task: TaskRecord
  readonly previous: readonly Route[]
}

/** The tasks: a copy in memory for requests, and changes that are durable before they are told. */
export class TaskBook {
  readonly #store: RegistryStore
  readonly #catalogue: Catalogue
  readonly #tasks = new Map<string, TaskRecord>()

  constructor(store: RegistryStore, catalogue: Catalogue) {
    this.#store = store
    this.#catalogue = catalogue
  }

  get all(): ReadonlyMap<string, TaskRecord> {
    return this.#tasks
  }

  /** Takes over what the store has: null = the task is gone. */
  follow(name: string, task: TaskRecord | null): void {
    if (task) this.#tasks.set(name, task)
    else this.#tasks.delete(name)
  }

  /** Tasks that send requests, or a shadow's sample of them, to one of these versions. */
  routingTo(adapter: string, version: number | null): string[] {
    const isMeant = (route: Pick<Route, 'adapter' | 'version'>): boolean =>
      route.adapter === adapter && (version === null || route.version === version)
    const named = [...this.#tasks.values()].filter(
      ({ routes, shadow }) => routes.some(isMeant) || (shadow && isMeant(shadow)),
    )
    return named.map(({ name }) => name)
  }

  async put(
    name: string,
    input: TaskInput,
    stamp: ChangeStamp,
    expectedRevision: number | undefined,
  ): Promise<{ readonly task: TaskRecord; readonly created: boolean }> {
    checkName(name, 'task')
    let created = false
    const { task } = await this.#change(name, (current) => {
      if (expectedRevision !== undefined && expectedRevision !== (current?.revision ?? 0)) {
        const message = `task "${name}" is at revision ${current?.revision ?? 0}, not ${expectedRevision}; read it again and repeat`
        throw new TroupeError('conflict', message)
      }
      created = current === null
      const routes = input.routes?.map(({ adapter, version, weight }) =>
        this.#pinned(name, adapter, version, weight ?? 1),
      )
      return changedTask(current, name, input, { routes, shadow: this.#shadow(name, input.shadow) }, stamp)
    })
    return { task, created }
  }

  async activate(name: string, adapter: string, version: number | undefined, stamp: ChangeStamp): Promise<TaskChange> {
    return this.#change(name, (current) => {
      if (!current) throw taskNotFound(name)
      return activatedTask(current, this.#pinned(name, adapter, version, 1), stamp)
    })
  }

  async rollback(name: string, stamp: ChangeStamp): Promise<TaskChange> {
    const isServed = (route: Route): boolean =>
      this.#catalogue.byNumber(route.adapter, route.version)?.state === 'ready'
    return this.#change(name, (current) => {
      if (!current) throw taskNotFound(name)
      return rolledBackTask(current, stamp, isServed)
    })
  }

  async delete(name: string): Promise<void> {
    checkName(name, 'task')
    await this.#store.deleteTask(name)
    this.#tasks.delete(name)
  }

  /** A route to a version that can be served. Ownership is checked first, so that others' adapters do not show. */
  #pinned(task: string, adapter: string, version: number | undefined, weight: number): Route {
    const owner = ownerOf(adapter)
    if (owner !== null && owner !== ownerOf(task)) {
      const message = `task "${task}" cannot route to "${adapter}": a task reaches only unowned adapters and those of its own owner`
      throw new TroupeError('invalid_request', message, { param: 'adapter' })
    }
    const selector = version === undefined ? NEWEST : ({ kind: 'version', version } as const)
    return { adapter, version: this.#catalogue.select(adapter, selector).version, weight }
  }

  #shadow(task: string, input: TaskInput['shadow']): ShadowRoute | null | undefined {
    if (!input) return input
    const { adapter, version } = this.#pinned(task, input.adapter, input.version, 1)
    return { adapter, version, sample: input.sample ?? 1 }
  }

  /** Applies a change to the newest document; repeats it when another process was quicker. */
  async #change(name: string, change: (current: TaskRecord | null) => TaskRecord): Promise<TaskChange> {
    for (let attempt = 1; ; attempt++) {
      const current = this.#tasks.get(name) ?? null
      const task = change(current)
      try {
        await this.#store.putTask(task, current?.revision ?? null)
        this.#tasks.set(name, task)
        return { task, previous: current?.routes ?? [] }
      } catch (error) {
        if (!(error instanceof TroupeError && error.code === 'conflict') || attempt === ATTEMPTS) throw error
        this.follow(name, await this.#store.getTask(name))
      }
    }
  }
}

export function taskNotFound(name: string): TroupeError {
  return new TroupeError('task_not_found', `there is no task "${name}"`)
}
