import { readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TroupeError } from '../../core/errors.ts'
import { isName, isNamePart, ownerOf } from '../names.ts'
import type { TaskRecord } from '../records.ts'
import { parseTask, renderTask } from '../task-document.ts'
import { errnoOf, replaceFile, storageError, flush } from './durable.ts'
import type { DamagedEntry } from './port.ts'
import { visitInSlices } from './time-slices.ts'

interface KnownTask {
  readonly mtimeMs: number
  readonly size: number
  readonly ino: number
  readonly task: TaskRecord | null
  readonly damaged: DamagedEntry | null
}

/** The task documents: `tasks/<name>.json`, an owner's in a folder of its name. */
export class TaskFiles {
  readonly #root: string
  #known = new Map<string, KnownTask>()

  constructor(root: string) {
    this.#root = root
  }

  path(name: string): string {
    return join(this.#root, `${name}.json`)
  }

  async get(name: string): Promise<TaskRecord | null> {
    try {
      return this.#read(name)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      const message = error instanceof Error ? error.message : String(error)
      throw new TroupeError('storage_error', `cannot read ${this.path(name)}: ${message}`, { cause: error })
    }
  }

  /** @param temporary path for the new text before it takes its place */
  async put(task: TaskRecord, temporary: string): Promise<void> {
    const path = this.path(task.name)
    try {
      if (ownerOf(task.name) !== null && (await makeFolder(dirname(path)))) await flush(this.#root)
      await replaceFile(path, renderTask(task), temporary)
    } catch (error) {
      throw storageError('write', path, error)
    }
  }

  async delete(name: string): Promise<void> {
    const path = this.path(name)
    try {
      await rm(path)
      await flush(dirname(path))
      if (ownerOf(name) !== null) await rmdir(dirname(path)).catch(() => undefined)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw new TroupeError('task_not_found', `there is no task "${name}"`)
      throw storageError('delete', path, error)
    }
  }

  /** All tasks; a file that did not change gives the same object as before. */
  async list(): Promise<{
    readonly tasks: ReadonlyMap<string, TaskRecord>
    readonly damaged: readonly DamagedEntry[]
  }> {
    const names = this.#names()
    const known = new Map<string, KnownTask>()
    await visitInSlices(names, (name) => {
      try {
        const { mtimeMs, size, ino } = statSync(this.path(name))
        const former = this.#known.get(name)
        const unchanged = former?.mtimeMs === mtimeMs && former.size === size && former.ino === ino
        known.set(name, unchanged ? former : { mtimeMs, size, ino, ...this.#examine(name) })
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error
      }
    })
    this.#known = known
    const tasks = new Map<string, TaskRecord>()
    const damaged: DamagedEntry[] = []
    for (const [name, entry] of known) {
      if (entry.task) tasks.set(name, entry.task)
      if (entry.damaged) damaged.push(entry.damaged)
    }
    return { tasks, damaged }
  }

  #examine(name: string): Pick<KnownTask, 'task' | 'damaged'> {
    try {
      return { task: this.#read(name), damaged: null }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw error
      const message = error instanceof Error ? error.message : String(error)
      return { task: null, damaged: { kind: 'task', name, digest: null, path: this.path(name), message } }
    }
  }

  #read(name: string): TaskRecord {
    const path = this.path(name)
    return parseTask(readFileSync(path, 'utf8'), name, statSync(path).mtime.toISOString())
  }

  #names(): string[] {
    const names: string[] = []
    for (const entry of readdirSync(this.#root, { withFileTypes: true })) {
      if (entry.isFile()) names.push(entry.name)
      if (!entry.isDirectory() || !isNamePart(entry.name)) continue
      names.push(...this.#namesOfOwner(entry.name).map((file) => `${entry.name}/${file}`))
    }
    return names
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .filter(isName)
      .sort()
  }

  #namesOfOwner(owner: string): string[] {
    try {
      return readdirSync(join(this.#root, owner))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
  }
}

/** Whether the folder had to be made. */
async function makeFolder(dir: string): Promise<boolean> {
  try {
    await mkdir(dir)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}
