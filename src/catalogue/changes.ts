import { TroupeError } from '../core/errors.ts'
import { Shape } from '../core/shape.ts'
import type { BlobId } from '../store/blobs.ts'
import type { Journal } from '../store/journal.ts'
import type { JournalRecord, Origin } from '../store/record.ts'
import type { Catalogue } from './catalogue.ts'
import { checkName, ownerOf } from './names.ts'
import type { AdapterRecord, VersionReference } from './records.ts'
import { NEWEST, parseReference } from './reference.ts'
import type { Gate, Route, ShadowRoute, TaskDefaults, TaskRecord, TaskSettings } from './task.ts'
import { checkTask, settingsOf, taskNotFound } from './task.ts'
import type { Notes, Refusal, Version, VersionRecord } from './version.ts'
import { NotesSchema } from './version.ts'

/** A version as somebody asks for it; left out = the newest ready one. */
export interface VersionChoice {
  readonly adapter: string
  readonly version?: VersionReference | undefined
}

/** What a task is to be. Fields left out stay as they are; of a new task they are empty. No routes = the base model. */
export interface TaskInput {
  readonly description?: string | undefined
  /** Pinned now to the versions they choose. Weights left out = 1. */
  readonly routes?: readonly (VersionChoice & { readonly weight?: number | undefined })[] | undefined
  /** Null = none any more; the sample left out = 1. */
  readonly shadow?: (VersionChoice & { readonly sample?: number | undefined }) | null | undefined
  readonly pinned?: boolean | undefined
  readonly prompt?: string | null | undefined
  readonly system?: string | null | undefined
  readonly defaults?: TaskDefaults | undefined
  /** Tenants beside the owner that see and use it; `*` = all. */
  readonly sharedWith?: readonly string[] | undefined
  /** Null = none any more. */
  readonly gate?: Gate | null | undefined
}

export interface TaskChange {
  readonly task: TaskRecord
  readonly previous: readonly Route[]
}

/** What is to change of what people say about an adapter. Left out = as it is. */
export interface AdapterNotes extends Notes {
  readonly pinned?: boolean
  /** As in `TaskInput`. */
  readonly sharedWith?: readonly string[]
}

const notesShape = new Shape(NotesSchema, 'notes')

/** Description and labels of an object; others are not looked at. @throws TroupeError `invalid_request` */
export function readNotes({ description, labels }: Readonly<Record<string, unknown>>): Notes {
  const notes = {
    ...(description === undefined ? {} : { description }),
    ...(labels === undefined ? {} : { labels }),
  }
  return notesShape.check(notes, 'invalid_request')
}

/** Every change of adapters and tasks: decided on what the catalogue says, durable in the journal before it is told. */
export class Changes {
  readonly counts = { activations: 0, rollbacks: 0, deletions: 0 }
  readonly #journal: Journal
  readonly #catalogue: Catalogue
  /** Asked before a task routes elsewhere; throws why it must not. */
  readonly #mayRoute: (task: TaskSettings, routes: readonly Route[]) => void

  constructor(
    journal: Journal,
    catalogue: Catalogue,
    mayRoute: (task: TaskSettings, routes: readonly Route[]) => void = () => undefined,
  ) {
    this.#journal = journal
    this.#catalogue = catalogue
    this.#mayRoute = mayRoute
  }

  /**
   * Creates or changes a task; what the input leaves out stays as it is.
   * @param expected refuses the change with `conflict` if the task is at another revision; 0 = it must be new
   * @throws TroupeError `invalid_request`, `adapter_not_found`, `version_not_found`, `adapter_not_ready`, `conflict`, `storage_error`
   */
  async putTask(
    name: string,
    input: TaskInput,
    origin: Origin,
    expected?: number,
  ): Promise<{ readonly task: TaskRecord; readonly created: boolean }> {
    checkName(name, 'task')
    const record = await this.#changeTask(origin, () => {
      const current = this.#task(name)
      const revision = current?.revision ?? 0
      if (expected !== undefined && expected !== revision) {
        const message = `task "${name}" is at revision ${revision}, not ${expected}; read it again and repeat`
        throw new TroupeError('conflict', message)
      }
      return { settings: this.#settingsAfter(current ?? newTask(name), input), backTo: null }
    })
    const task = this.#task(name) ?? gone(name)
    return { task, created: (record.data as TaskSettings).revision === 1 }
  }

  /**
   * Sends all requests of a task to one version (the newest ready one if none is named) from now on; running ones are not touched.
   * @throws TroupeError `task_not_found` and as `putTask`
   */
  async activate(name: string, choice: VersionChoice, origin: Origin): Promise<TaskChange> {
    const change = await this.#switchTask(name, origin, (current) => {
      return { settings: { ...settingsOf(current), routes: [this.#pinned(name, choice, 1)] }, backTo: null }
    })
    this.counts.activations++
    return change
  }

  /** Returns to the routes before, over those whose versions are gone. @throws TroupeError `task_not_found`, `rollback_empty`, `conflict`, `storage_error` */
  async rollback(name: string, origin: Origin): Promise<TaskChange> {
    const change = await this.#switchTask(name, origin, (current) => {
      const target = current.history.findLast(({ routes }) => routes.every((route) => this.#isServed(route)))
      if (!target) throw nothingBefore(current)
      return { settings: { ...settingsOf(current), routes: target.routes }, backTo: target.revision }
    })
    this.counts.rollbacks++
    return change
  }

  /** @throws TroupeError `task_not_found`, `storage_error` */
  async deleteTask(name: string, origin: Origin): Promise<void> {
    checkName(name, 'task')
    await this.#journal.append({ type: 'task.deleted', data: { task: name } }, origin)
  }

  /** Changes what is said about an adapter, whether it is pinned, and who else sees it. @throws TroupeError `adapter_not_found`, `invalid_request` */
  async describeAdapter(name: string, input: AdapterNotes, origin: Origin): Promise<AdapterRecord> {
    const { pinned, sharedWith } = input
    const data = {
      adapter: name,
      ...readNotes({ ...input }),
      ...(pinned === undefined ? {} : { pinned }),
      ...(sharedWith === undefined ? {} : { sharedWith }),
    }
    await this.#journal.append({ type: 'adapter.described', data }, origin)
    return this.#catalogue.getAdapter(name, '*')
  }

  /** Changes what is said about a version. @throws TroupeError `adapter_not_found`, `version_not_found`, `invalid_request` */
  async describeVersion(name: string, number: number, notes: Notes, origin: Origin): Promise<VersionRecord> {
    const data = { adapter: name, version: number, ...readNotes({ ...notes }) }
    await this.#journal.append({ type: 'version.described', data }, origin)
    return this.#catalogue.getVersion(name, number, '*')
  }

  /**
   * Gives the next number to files that are stored already. The adapter may have got the same bytes meanwhile: then that version comes back.
   * @throws TroupeError `conflict`, `storage_error`
   */
  async addVersion(
    found: Omit<Version, 'version'>,
    origin: Origin,
  ): Promise<{ readonly version: Version; readonly created: boolean }> {
    const { state } = this.#catalogue
    const existing = (): Version | null => state.byDigest(found.adapter, found.digest)
    try {
      await this.#journal.append(
        () => ({ type: 'version.added', data: { ...found, version: state.lastNumber(found.adapter) + 1 } }),
        origin,
      )
    } catch (error) {
      const known = existing()
      if (known && error instanceof TroupeError && error.code === 'conflict') return { version: known, created: false }
      throw error
    }
    return { version: existing() ?? gone(found.adapter), created: true }
  }

  /** Takes the files of another blob for those of a version: the same bytes, stored again. @throws TroupeError `version_not_found`, `conflict` */
  async repairVersion(name: string, number: number, { blob }: BlobId, origin: Origin): Promise<void> {
    await this.#journal.append({ type: 'version.repaired', data: { adapter: name, version: number, blob } }, origin)
  }

  /**
   * @param drainSeconds how long requests in flight may keep it, on every server
   * @throws TroupeError `adapter_in_use` naming the tasks that route to it, `adapter_not_found`, `version_not_found`, `storage_error`
   */
  async deleteVersion(name: string, version: number, drainSeconds: number, origin: Origin): Promise<void> {
    await this.#journal.append({ type: 'version.deleted', data: { adapter: name, version, drainSeconds } }, origin)
    this.counts.deletions++
  }

  /** With all its versions and what was refused of it. @throws TroupeError as `deleteVersion` */
  async deleteAdapter(name: string, drainSeconds: number, origin: Origin): Promise<void> {
    checkName(name, 'adapter')
    await this.#journal.append({ type: 'adapter.deleted', data: { adapter: name, drainSeconds } }, origin)
    this.counts.deletions++
  }

  /** Keeps a refused upload in mind; the last hundred are. @throws TroupeError `storage_error` */
  async refuseUpload(refusal: Refusal, origin: Origin): Promise<void> {
    await this.#journal.append({ type: 'upload.refused', data: refusal }, origin)
  }

  async #switchTask(
    name: string,
    origin: Origin,
    decide: (current: TaskRecord) => { readonly settings: TaskSettings; readonly backTo: number | null },
  ): Promise<TaskChange> {
    let previous: readonly Route[] = []
    await this.#changeTask(origin, () => {
      const current = this.#task(name)
      if (!current) throw taskNotFound(name)
      previous = current.routes
      const { settings, backTo } = decide(current)
      return { settings: { ...settings, revision: current.revision + 1 }, backTo }
    })
    return { task: this.#task(name) ?? gone(name), previous }
  }

  async #changeTask(
    origin: Origin,
    decide: () => { readonly settings: TaskSettings; readonly backTo: number | null },
  ): Promise<JournalRecord> {
    return this.#journal.append(() => {
      const { settings, backTo } = decide()
      checkTask(settings)
      const current = this.#task(settings.name)
      // Back is where the task has been: that way stays open.
      if (current && backTo === null) this.#mayRoute(current, settings.routes)
      return { type: 'task.put', data: { ...settings, backTo } }
    }, origin)
  }

  #settingsAfter(base: TaskSettings, input: TaskInput): TaskSettings {
    const { routes, shadow } = input
    const gate = input.gate === undefined ? (base.gate ?? null) : input.gate
    return {
      ...settingsOf({ ...base, gate }),
      description: input.description ?? base.description,
      prompt: input.prompt === undefined ? base.prompt : input.prompt,
      system: input.system === undefined ? base.system : input.system,
      defaults: input.defaults ?? base.defaults,
      pinned: input.pinned ?? base.pinned,
      ...(input.sharedWith === undefined ? {} : { sharedWith: input.sharedWith }),
      routes: routes ? routes.map((route) => this.#pinned(base.name, route, route.weight ?? 1)) : base.routes,
      shadow: shadow ? this.#shadow(base.name, shadow) : shadow === null ? null : base.shadow,
      revision: base.revision + 1,
    }
  }

  /** A route to a version that can be served. Ownership is checked first, so that others' adapters do not show. */
  #pinned(task: string, { adapter, version: reference }: VersionChoice, weight: number): Route {
    const owner = ownerOf(adapter)
    if (owner !== null && owner !== ownerOf(task)) {
      const message = `task "${task}" cannot route to "${adapter}": a task reaches only unowned adapters and those of its own owner`
      throw new TroupeError('invalid_request', message, { param: 'adapter' })
    }
    const selector = reference === undefined ? NEWEST : parseReference(reference, 'version')
    return { adapter, version: this.#catalogue.select(adapter, selector).version, weight }
  }

  #shadow(task: string, input: NonNullable<TaskInput['shadow']>): ShadowRoute {
    const { adapter, version } = this.#pinned(task, input, 1)
    return { adapter, version, sample: input.sample ?? 1 }
  }

  #isServed({ adapter, version }: Route): boolean {
    const found = this.#catalogue.state.byNumber(adapter, version)
    return found !== null && this.#catalogue.isReady(found)
  }

  #task(name: string): TaskRecord | null {
    return this.#catalogue.state.tasks.get(name) ?? null
  }
}

function newTask(name: string): TaskSettings {
  const empty = { description: '', routes: [], shadow: null, pinned: false, prompt: null, system: null, defaults: {} }
  return { name, ...empty, revision: 0 }
}

function nothingBefore({ name, history }: TaskRecord): TroupeError {
  const message =
    history.length === 0
      ? `task "${name}" has no earlier activation to go back to`
      : `every version that task "${name}" was served by before is gone`
  return new TroupeError('rollback_empty', message)
}

/** Between the record and the answer nothing else runs: whatever it is, it is not the client's fault. */
function gone(name: string): never {
  throw new TroupeError('internal', `"${name}" is gone right after it was written`)
}
