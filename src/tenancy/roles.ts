/**
 * What a key is for. An `admin` may touch names of every tenant and names nobody owns, a `publisher` changes what its tenant owns, a `caller`
 * asks for answers, `metrics` reads `/metrics` and nothing else.
 */
export const ROLES = ['admin', 'publisher', 'caller', 'metrics'] as const
export type Role = (typeof ROLES)[number]

/** Who sends a request. */
export interface Caller {
  /** Name of the tenant; `*` when the server is open. */
  readonly tenant: string
  readonly role: Role
}

/** Every caller of an open server. */
export const EVERYONE: Caller = { tenant: '*', role: 'admin' }
