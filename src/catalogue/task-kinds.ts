import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { DeepReadonly } from '../core/readonly.ts'
import type { Book, RecordHead } from '../store/record.ts'
import { recordKind } from '../store/record.ts'
import { checkName } from './names.ts'
import type { CatalogueState } from './state.ts'
import { conflict, mustHave } from './state.ts'
import type { Activation, TaskRecord, TaskSettings } from './task.ts'
import { checkTask, settingsOf, TaskSchema, TaskSettingsSchema, taskNotFound } from './task.ts'

const MAX_HISTORY = 50

const TaskPutSchema = Type.Object({
  ...TaskSettingsSchema.properties,
  /** Revision of the entry of the history that this goes back to; null = it goes forward. */
  backTo: Type.Union([Type.Integer(), Type.Null()]),
})
type TaskPut = DeepReadonly<Static<typeof TaskPutSchema>>

/** The types of records about tasks. */
export function taskKinds(state: CatalogueState): Book['kinds'] {
  return {
    'task.put': recordKind(TaskPutSchema, {
      check: ({ backTo, ...settings }) => {
        checkTask(settings)
        const { name, revision, routes, shadow } = settings
        const current = state.tasks.get(name)
        if (revision !== (current?.revision ?? 0) + 1) {
          throw conflict(`task "${name}" is at revision ${current?.revision ?? 0}; read it again and repeat`)
        }
        for (const { adapter, version } of [...routes, ...(shadow ? [shadow] : [])]) mustHave(state, adapter, version)
        if (backTo !== null && !current?.history.some((entry) => entry.revision === backTo)) {
          throw conflict(`task "${name}" has no revision ${backTo} in its history`)
        }
      },
      apply: (put, head) => void state.tasks.set(put.name, taskAfter(state.tasks.get(put.name) ?? null, put, head)),
    }),

    'task.deleted': recordKind(Type.Object({ task: Type.String() }), {
      check: ({ task }) => {
        checkName(task, 'task')
        if (!state.tasks.has(task)) throw taskNotFound(task)
      },
      apply: ({ task }) => void state.tasks.delete(task),
    }),

    /** A task of an earlier store, with its history. */
    'task.imported': recordKind(TaskSchema, {
      check: (task) => {
        checkTask(settingsOf(task))
        if (state.tasks.has(task.name)) throw conflict(`there is a task "${task.name}"`)
      },
      apply: (task) => void state.tasks.set(task.name, task),
    }),
  }
}

/** The task after a `task.put`: its history keeps where requests went before, who changed that, and when. */
function taskAfter(current: TaskRecord | null, { backTo, ...settings }: TaskPut, { at, by }: RecordHead): TaskRecord {
  return {
    ...settings,
    history: current ? historyAfter(current, backTo, settings, { at, by }) : [],
    createdAt: current?.createdAt ?? at,
    updatedAt: at,
  }
}

function historyAfter(
  current: TaskRecord,
  backTo: number | null,
  { routes, revision }: TaskSettings,
  stamp: Pick<RecordHead, 'at' | 'by'>,
): readonly Activation[] {
  if (backTo !== null)
    return current.history.slice(
      0,
      current.history.findIndex((entry) => entry.revision === backTo),
    )
  if (JSON.stringify(routes) === JSON.stringify(current.routes)) return current.history
  return [...current.history, { revision, ...stamp, routes: current.routes }].slice(-MAX_HISTORY)
}
