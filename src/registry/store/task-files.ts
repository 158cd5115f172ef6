import { mkdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TroupeError } from '../../core/errors.ts'
import { isName, isNamePart, ownerOf } from '../names.ts'
import type { TaskRecord } from '../records.ts'
import { parseTask, renderTask } from '../task-document.ts'
import { mapConcurrent } from '../serial.ts'
import { waitingDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { errnoOf, replaceFile, storageError, flush } from './durable.ts'
import type { DamagedEntry } from './port.ts'

const CONCURRENCY = 64

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
      return await this.#read(name, waitingDisk)
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
  async list(disk: Disk): Promise<{
    readonly tasks: ReadonlyMap<string, TaskRecord>
    readonly damaged: readonly DamagedEntry[]
  }> {
    const names = await this.#names(disk)
    const known = new Map<string, KnownTask>()
    await mapConcurrent(names, CONCURRENCY, async (name) => {
      try {
        const { mtimeMs, size, ino } = await disk.stat(this.path(name))
        const former = this.#known.get(name)
        const unchanged = former?.mtimeMs === mtimeMs && former.size === size && former.ino === ino
        known.set(name, unchanged ? former : { mtimeMs, size, ino, ...(await this.#examine(name, disk)) })
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error
      }
    })
    this.#known = known
    const tasks = new Map<string, TaskRecord>()
    const damaged: DamagedEntry[] = []
    for (const name of names) {
      const entry = known.get(name)
      if (!entry) continue
      if (entry.task) tasks.set(name, entry.task)
      if (entry.damaged) damaged.push(entry.damaged)
    }
    return { tasks, damaged }
  }

  async #examine(name: string, disk: Disk): Promise<Pick<KnownTask, 'task' | 'damaged'>> {
    try {
      return { task: await this.#read(name, disk), damaged: null }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw error
      const message = error instanceof Error ? error.message : String(error)
      return { task: null, damaged: { kind: 'task', name, digest: null, path: this.path(name), message } }
    }
  }

  async #read(name: string, disk: Disk): Promise<TaskRecord> {
    const path = this.path(name)
    const text = await disk.text(path)
    return parseTask(text, name, new Date(Math.round((await disk.stat(path)).mtimeMs)).toISOString())
  }

  async #names(disk: Disk): Promise<string[]> {
    const names: string[] = []
    for (const entry of await disk.entries(this.#root)) {
      if (entry.isFile()) names.push(entry.name)
      if (!entry.isDirectory() || !isNamePart(entry.name)) continue
      names.push(...(await this.#namesOfOwner(entry.name, disk)).map((file) => `${entry.name}/${file}`))
    }
    return names
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .filter(isName)
      .sort()
  }

  async #namesOfOwner(owner: string, disk: Disk): Promise<string[]> {
    try {
      return (await disk.entries(join(this.#root, owner))).map(({ name }) => name)
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
