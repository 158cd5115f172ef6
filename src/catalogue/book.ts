import { Type } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import { Shape } from '../core/shape.ts'
import { blobPrefix } from '../store/blobs.ts'
import type { Book } from '../store/record.ts'
import { recordKind } from '../store/record.ts'
import { compact } from './compact.ts'
import { checkName, ownerOf } from './names.ts'
import type { Adapter, CatalogueState } from './state.ts'
import { conflict, mustHave, mustHaveAdapter } from './state.ts'
import { SharedWithSchema, TaskSchema } from './task.ts'
import { taskKinds } from './task-kinds.ts'
import type { Version } from './version.ts'
import { NotesSchema, RefusalSchema, VersionSchema } from './version.ts'

const VersionName = { adapter: Type.String(), version: Type.Integer({ minimum: 1 }) }
/** How long requests in flight may go on, on every server. */
const DrainSeconds = Type.Number({ minimum: 0 })
const BlobSchema = Type.Object({ digest: Type.String(), blob: Type.String() })
const BlobsSchema = Type.Object({ blobs: Type.Array(BlobSchema) })

/** What a snapshot holds of the catalogue. */
const SavedSchema = Type.Object({
  adapters: Type.Array(
    Type.Object({
      name: Type.String(),
      pinned: Type.Boolean(),
      sharedWith: Type.Optional(SharedWithSchema),
      versions: Type.Array(VersionSchema),
      last: Type.Integer(),
      ...NotesSchema.properties,
    }),
  ),
  tasks: Type.Array(TaskSchema),
  lastNumbers: Type.Record(Type.String(), Type.Integer()),
  condemned: Type.Array(Type.Object({ id: BlobSchema, n: Type.Integer(), orphan: Type.Boolean() })),
  refusals: Type.Array(RefusalSchema),
  deleted: Type.Array(VersionSchema),
})
const savedShape = new Shape(SavedSchema, 'catalogue')

/** All types of records about adapters and tasks: what each holds, when it may be, what it does to `state`. The one place where that stands. */
export function catalogueBook(state: CatalogueState): Book {
  return {
    name: 'catalogue',
    kinds: { ...versionKinds(state), ...adapterKinds(state), ...taskKinds(state), ...blobKinds(state) },
    save: () => ({
      adapters: [...state.adapters.values()],
      tasks: [...state.tasks.values()],
      lastNumbers: Object.fromEntries(state.lastNumbers),
      condemned: [...state.condemned.values()],
      refusals: state.refusals,
      deleted: state.deleted,
    }),
    load: (json) => {
      const saved = savedShape.check(json, 'storage_error')
      for (const adapter of saved.adapters) state.setAdapter({ ...adapter, versions: adapter.versions.map(compact) })
      for (const task of saved.tasks) state.tasks.set(task.name, task)
      for (const [name, last] of Object.entries(saved.lastNumbers)) state.lastNumbers.set(name, last)
      for (const { id, n, orphan } of saved.condemned) state.condemn(id, n, orphan)
      state.refusals = saved.refusals
      state.deleted = saved.deleted.map(compact)
    },
  }
}

function versionKinds(state: CatalogueState): Book['kinds'] {
  return {
    'version.added': recordKind(VersionSchema, {
      check: (version) => {
        const { adapter, version: number, digest } = version
        checkName(adapter, 'adapter')
        checkNoOwner(state, adapter)
        if (number <= state.lastNumber(adapter)) throw conflict(`v${number} of adapter "${adapter}" was given before`)
        if (state.byDigest(adapter, digest)) throw conflict(`adapter "${adapter}" has ${digest} already`)
        if (state.isCondemned(version)) throw conflict(`the files of ${digest} were collected before they were named`)
      },
      apply: (version) => {
        const adapter = state.adapters.get(version.adapter) ?? newAdapter(version.adapter)
        const versions = [...adapter.versions, compact(version)]
        state.setAdapter({ ...adapter, versions, last: version.version })
        state.forgetRefusals(version.adapter)
      },
    }),

    /** The files of a version were altered; the same bytes were stored again. */
    'version.repaired': recordKind(Type.Object({ ...VersionName, blob: Type.String() }), {
      check: ({ adapter, version, blob }) => {
        const { digest } = mustHave(state, adapter, version)
        if (state.isCondemned({ digest, blob }))
          throw conflict(`the files of ${digest} were collected before they were named`)
      },
      apply: ({ adapter, version, blob }, { n }) => {
        const former = mustHave(state, adapter, version)
        setVersion(state, adapter, { ...former, blob })
        state.condemn(former, n, false)
      },
    }),

    'version.described': recordKind(Type.Object({ ...VersionName, ...NotesSchema.properties }), {
      check: ({ adapter, version }) => void mustHave(state, adapter, version),
      apply: ({ adapter, version, ...notes }) =>
        setVersion(state, adapter, { ...mustHave(state, adapter, version), ...notes }),
    }),

    'version.deleted': recordKind(Type.Object({ ...VersionName, drainSeconds: DrainSeconds }), {
      check: ({ adapter, version }) => {
        mustHave(state, adapter, version)
        refuseRouted(`${adapter}@v${version}`, state.tasksTo(adapter, version))
      },
      apply: ({ adapter, version }, { n }) => {
        const known = mustHaveAdapter(state, adapter)
        const gone = mustHave(state, adapter, version)
        state.setAdapter({ ...known, versions: known.versions.filter((one) => one !== gone) })
        state.condemn(gone, n, false)
        state.rememberDeleted([gone])
      },
    }),

    'upload.refused': recordKind(RefusalSchema, {
      check: () => undefined,
      apply: (refusal) => state.rememberRefusal(refusal),
    }),
  }
}

function adapterKinds(state: CatalogueState): Book['kinds'] {
  return {
    'adapter.described': recordKind(
      Type.Object({
        adapter: Type.String(),
        pinned: Type.Optional(Type.Boolean()),
        sharedWith: Type.Optional(SharedWithSchema),
        ...NotesSchema.properties,
      }),
      {
        check: ({ adapter }) => void mustHaveAdapter(state, adapter),
        apply: ({ adapter, ...said }) => state.setAdapter({ ...mustHaveAdapter(state, adapter), ...said }),
      },
    ),

    /** With all its versions and everything that was refused of it. */
    'adapter.deleted': recordKind(Type.Object({ adapter: Type.String(), drainSeconds: DrainSeconds }), {
      check: ({ adapter }) => {
        checkName(adapter, 'adapter')
        if (!state.refusals.some((refusal) => refusal.adapter === adapter)) mustHaveAdapter(state, adapter)
        refuseRouted(adapter, state.tasksTo(adapter, null))
      },
      apply: ({ adapter }, { n }) => {
        const known = state.adapters.get(adapter)
        if (known) state.setAdapter({ ...newAdapter(adapter), last: known.last })
        for (const version of known?.versions ?? []) state.condemn(version, n, false)
        state.rememberDeleted(known?.versions ?? [])
        state.forgetRefusals(adapter)
      },
    }),

    /** Numbers up to `last` were given in an earlier store: they are not given again. */
    'adapter.numbered': recordKind(Type.Object({ adapter: Type.String(), last: Type.Integer({ minimum: 1 }) }), {
      check: ({ adapter, last }) => {
        if (last < state.lastNumber(adapter))
          throw conflict(`v${state.lastNumber(adapter)} of "${adapter}" was given before`)
      },
      apply: ({ adapter, last }) => state.setAdapter({ ...(state.adapters.get(adapter) ?? newAdapter(adapter)), last }),
    }),
  }
}

function blobKinds(state: CatalogueState): Book['kinds'] {
  return {
    /** Blobs that no version names: their writers died, or must store them again. */
    'blobs.condemned': recordKind(BlobsSchema, {
      check: ({ blobs }) => {
        const named = blobs.find((id) => state.isNamed(id))
        if (named) throw conflict(`the files of ${named.digest} are those of a version`)
      },
      apply: ({ blobs }, { n }) => {
        for (const id of blobs) if (!state.isCondemned(id)) state.condemn(id, n, true)
      },
    }),

    /** The bytes of condemned blobs are gone. */
    'blobs.collected': recordKind(BlobsSchema, {
      check: () => undefined,
      apply: ({ blobs }) => {
        for (const id of blobs) {
          const key = blobPrefix(id)
          if (state.condemned.get(key)?.orphan === false) state.condemned.delete(key)
        }
      },
    }),
  }
}

function newAdapter(name: string): Adapter {
  return { name, pinned: false, versions: [], last: 0 }
}

function setVersion(state: CatalogueState, name: string, version: Version): void {
  const adapter = mustHaveAdapter(state, name)
  const versions = adapter.versions.map((one) => (one.version === version.version ? compact(version) : one))
  state.setAdapter({ ...adapter, versions })
}

/**
 * `acme` cannot be an adapter when there are adapters called `acme/…`, and the other way round.
 *
 * @throws TroupeError `conflict`
 */
export function checkNoOwner(state: CatalogueState, name: string): void {
  const owner = ownerOf(name)
  const details = { param: 'adapter' }
  if (owner !== null && state.adapters.has(owner)) {
    throw new TroupeError('conflict', `"${owner}" is an adapter, so nothing can be called "${owner}/…"`, details)
  }
  if (state.isOwner(name)) {
    throw new TroupeError('conflict', `"${name}" owns other adapters, so no adapter can have this name`, details)
  }
}

function refuseRouted(what: string, tasks: readonly string[]): void {
  if (tasks.length === 0) return
  const names = tasks.slice(0, 10).map((name) => `"${name}"`)
  const message = `${what} cannot be deleted, requests go to it from ${tasks.length === 1 ? 'task' : 'tasks'} ${names.join(', ')}`
  throw new TroupeError('adapter_in_use', `${message}: activate another version there first`)
}
