import { existsSync } from 'node:fs'
import { readdir, readFile, rename, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { CatalogueState } from '../catalogue/state.ts'
import type { Version } from '../catalogue/version.ts'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import type { Log } from '../core/log.ts'
import { newBlob, putBlob } from '../store/blobs.ts'
import { errnoOf } from '../store/filesystem/durable.ts'
import { Journal } from '../store/journal.ts'
import { emptyBooks } from './books.ts'
import type { OpenStore } from '../store/open.ts'

const MIGRATOR = { by: 'migrate' }
const VERSION_FILE = 'version.json'
const NOTES_FILE = '.notes.json'

/** What a migration did, and what it could not take over: that stays where it is. */
export interface Migration {
  readonly versions: number
  readonly tasks: number
  readonly skipped: readonly string[]
}

interface Target {
  readonly open: OpenStore
  readonly journal: Journal
  readonly state: CatalogueState
  readonly skipped: string[]
}

/** Whether a folder is a store of format 1: adapters and tasks as folders and files. */
export function isFormatOne(folder: string): boolean {
  return !existsSync(join(folder, 'format.json')) && existsSync(join(folder, 'adapters'))
}

/**
 * Writes everything in a store of format 1 into an empty store of the present one. The old one is only read.
 *
 * @throws TroupeError `invalid_config` where there is no old store or the new one is not empty, `storage_error`
 */
export async function migrateStore(from: string, open: OpenStore, log: Log): Promise<Migration> {
  if (!isFormatOne(from))
    throw new TroupeError('invalid_config', `${from} is no store of format 1: there is nothing to migrate`)
  const { state, books } = emptyBooks()
  const journal = await Journal.open({ store: open.store, books, server: 'migrate', log })
  if (journal.head > 0) throw new TroupeError('invalid_config', `${open.store.name} is not empty: name a new place`)
  const target: Target = { open, journal, state, skipped: [] }
  for (const name of await adapterNames(join(from, 'adapters'))) await migrateAdapter(from, name, target)
  await migrateNumbers(join(from, '.numbers'), target)
  for (const path of await taskFiles(join(from, 'tasks'))) {
    const name = relative(join(from, 'tasks'), path).slice(0, -'.json'.length)
    await attempt(target, path, async () => {
      const { mtime } = await stat(path)
      await record(target, 'task.imported', await readTask(path, name, mtime.toISOString()))
    })
  }
  await attempt(target, join(from, '.rejected.json'), () => migrateRefusals(join(from, '.rejected.json'), target))
  await journal.close()
  return { versions: countVersions(state), tasks: state.tasks.size, skipped: target.skipped }
}

/** Puts the new store where the old one was, which stays beside it as `<folder>.format-1`. @throws TroupeError `storage_error` */
export async function swapStores(folder: string, migrated: string): Promise<string> {
  const old = `${folder}.format-1`
  try {
    if (existsSync(old)) throw new Error(`${old} is in the way`)
    await rename(folder, old)
    await rename(migrated, folder)
  } catch (error) {
    throw new TroupeError(
      'storage_error',
      `the migrated store is complete in ${migrated}, but cannot take the place of ${folder}: ${messageOf(error)}`,
    )
  }
  return old
}

async function migrateAdapter(from: string, name: string, target: Target): Promise<void> {
  const dir = join(from, 'adapters', name)
  const notes = await readJson(join(dir, NOTES_FILE)).catch((error: unknown): JsonObject => {
    if (errnoOf(error) !== 'ENOENT') target.skipped.push(`${join(dir, NOTES_FILE)}: ${String(error)}`)
    return {}
  })
  const later = isJsonObject(notes.versions) ? notes.versions : {}
  const found: { folder: string; document: JsonObject }[] = []
  for (const folder of (await foldersIn(dir)).filter(isDigestFolder)) {
    const path = join(dir, folder, VERSION_FILE)
    await attempt(target, path, async () => void found.push({ folder, document: await readJson(path) }))
  }
  found.sort((a, b) => Number(a.document.version) - Number(b.document.version))
  for (const { folder, document } of found) {
    await attempt(target, join(dir, folder), async () => {
      const digest = `sha256:${folder}`
      const said = isJsonObject(later[digest]) ? later[digest] : {}
      const id = newBlob(digest, Date.now())
      const names = (await readdir(join(dir, folder))).filter((file) => file !== VERSION_FILE)
      await putBlob(target.open.store, id, join(dir, folder), names)
      const defaults = { virtualTokens: 0, deviceBytes: document.bytes }
      const version = { ...defaults, ...document, ...said, ...id, adapter: name } as unknown as Version
      await record(target, 'version.added', version, version.createdBy)
    })
  }
  const { description, labels, pinned } = notes
  const data = { adapter: name, ...withoutUndefined({ description, labels, pinned }) }
  if (Object.keys(data).length > 1 && target.state.adapters.has(name))
    await attempt(target, join(dir, NOTES_FILE), () => record(target, 'adapter.described', data))
}

/** A number that was given stays given, also where its version was deleted. */
async function migrateNumbers(dir: string, target: Target): Promise<void> {
  for (const file of await namesIn(dir)) {
    const adapter = file.replace('~', '/')
    const last = Number.parseInt(await readFile(join(dir, file), 'utf8'), 10)
    if (last > target.state.lastNumber(adapter))
      await attempt(target, join(dir, file), () => record(target, 'adapter.numbered', { adapter, last }))
  }
}

async function migrateRefusals(path: string, target: Target): Promise<void> {
  const { rejected = [] } = await readJson(path).catch((error: unknown): JsonObject => {
    if (errnoOf(error) === 'ENOENT') return {}
    throw error
  })
  for (const refusal of rejected as readonly JsonObject[])
    await record(target, 'upload.refused', { source: 'upload', ...refusal })
}

/** People wrote such files too: only `routes` is needed, the rest has neutral values. */
async function readTask(path: string, name: string, writtenAt: string): Promise<unknown> {
  const json = await readJson(path)
  const routesOf = (routes: unknown): unknown =>
    Array.isArray(routes)
      ? routes.map((route: unknown) => (isJsonObject(route) ? { weight: 1, ...route } : route))
      : routes
  const history = Array.isArray(json.history) ? json.history : []
  const { adapter, version, sample = 1 }: JsonObject = isJsonObject(json.shadow) ? json.shadow : {}
  const empty = { description: '', pinned: false, prompt: null, system: null, defaults: {}, revision: 1 }
  return {
    ...empty,
    createdAt: writtenAt,
    updatedAt: writtenAt,
    ...json,
    name,
    routes: routesOf(json.routes),
    shadow: adapter === undefined ? null : { adapter, version, sample },
    history: history.map((entry: unknown, index) =>
      isJsonObject(entry) ? { revision: index + 1, ...entry, routes: routesOf(entry.routes) } : entry,
    ),
  }
}

async function record({ journal }: Target, type: string, data: unknown, by = MIGRATOR.by): Promise<void> {
  await journal.append({ type, data }, { by })
}

/** What cannot be taken over is named, and the rest goes on; a store that fails ends it. */
async function attempt(target: Target, path: string, job: () => Promise<unknown>): Promise<void> {
  try {
    await job()
  } catch (error) {
    if (target.journal.trouble !== null) throw error
    target.skipped.push(`${path}: ${messageOf(error)}`)
  }
}

/** Folders with versions in them: adapters, and below owners' folders theirs. */
async function adapterNames(root: string): Promise<string[]> {
  const names: string[] = []
  for (const name of await foldersIn(root)) {
    const inner = await foldersIn(join(root, name))
    if (inner.some(isDigestFolder)) names.push(name)
    else names.push(...inner.map((part) => `${name}/${part}`))
  }
  return names
}

async function taskFiles(root: string): Promise<string[]> {
  const entries = (await namesIn(root)).filter((name) => name.endsWith('.json')).map((name) => join(root, name))
  const owned = await Promise.all((await foldersIn(root)).map((owner) => taskFiles(join(root, owner))))
  return [...entries, ...owned.flat()].sort()
}

async function foldersIn(dir: string): Promise<string[]> {
  return (await entriesIn(dir)).filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

async function namesIn(dir: string): Promise<string[]> {
  return (await entriesIn(dir)).filter((entry) => entry.isFile()).map(({ name }) => name)
}

async function entriesIn(dir: string) {
  return readdir(dir, { withFileTypes: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  })
}

async function readJson(path: string): Promise<JsonObject> {
  return parseJsonObject(await readFile(path, 'utf8'), path, 'storage_error')
}

function isDigestFolder(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name)
}

function withoutUndefined(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function countVersions(state: CatalogueState): number {
  return [...state.adapters.values()].reduce((sum, { versions }) => sum + versions.length, 0)
}
