import { ownerOf } from '../catalogue/names.ts'
import type { CatalogueState } from '../catalogue/state.ts'
import { adapterNotFound } from '../catalogue/state.ts'
import { taskNotFound } from '../catalogue/task.ts'
import { TroupeError } from '../core/errors.ts'
import type { Caller } from './roles.ts'

/** What tells who sees a name. */
type Visibility = Pick<CatalogueState, 'isAdapterVisible' | 'isTaskVisible'>

/**
 * Throws unless the caller may create, change or delete the adapter: `forbidden` for what it sees, `adapter_not_found` for what it does not see,
 * whether it is there or not.
 */
export function assertMayAlterAdapter(state: Visibility, caller: Caller, name: string): void {
  if (owns(caller, name)) return
  if (!state.isAdapterVisible(name, viewOf(caller))) throw adapterNotFound(name)
  throw notOwned(caller, name)
}

/** The same of a task. */
export function assertMayAlterTask(state: Visibility, caller: Caller, name: string): void {
  if (owns(caller, name)) return
  if (!state.isTaskVisible(name, viewOf(caller))) throw taskNotFound(name)
  throw notOwned(caller, name)
}

/** The tenant whose view of adapters and tasks the caller gets; administrators see everything (`*`). */
export function viewOf(caller: Caller): string {
  return caller.role === 'admin' ? '*' : caller.tenant
}

function owns({ role, tenant }: Caller, name: string): boolean {
  return role === 'admin' || ownerOf(name) === tenant
}

function notOwned({ tenant }: Caller, name: string): TroupeError {
  const message = `this key may only alter names that begin with \`${tenant}/\`, not \`${name}\``
  return new TroupeError('forbidden', message, { param: name })
}
