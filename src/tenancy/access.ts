import { TroupeError } from '../core/errors.ts'
import type { Caller } from './keys.ts'

/** Throws `forbidden` unless the caller may create, change or delete what is called `name`. */
export function assertMayAlter(caller: Caller, name: string): void {
  if (caller.admin || name.startsWith(`${caller.tenant}/`)) return
  throw new TroupeError(
    'forbidden',
    `this key may only alter names that begin with \`${caller.tenant}/\`, not \`${name}\``,
    {
      param: name,
    },
  )
}

/** Throws `forbidden` unless the caller is an administrator. */
export function assertAdmin(caller: Caller, what: string): void {
  if (!caller.admin) throw new TroupeError('forbidden', `${what} needs the key of an administrator`)
}

/** The tenant whose view of adapters and tasks the caller gets; administrators see everything (`*`). */
export function viewOf(caller: Caller): string {
  return caller.admin ? '*' : caller.tenant
}
