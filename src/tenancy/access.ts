import { TroupeError } from '../core/errors.ts'
import type { Caller } from './keys.ts'

/** Throws `forbidden` unless the caller may create, change or delete what is called `name`. */
export function assertMayAlter(caller: Caller, name: string): void {
  if (caller.role === 'admin' || name.startsWith(`${caller.tenant}/`)) return
  throw new TroupeError(
    'forbidden',
    `this key may only alter names that begin with \`${caller.tenant}/\`, not \`${name}\``,
    {
      param: name,
    },
  )
}

/** The tenant whose view of adapters and tasks the caller gets; administrators see everything (`*`). */
export function viewOf(caller: Caller): string {
  return caller.role === 'admin' ? '*' : caller.tenant
}
