import { Type } from 'typebox'

const DEFAULT_PAGE = 100
const MAX_PAGE = 1000

/** Query fields of every paged listing. */
export const pageQuery = {
  after: Type.Optional(Type.String({ description: 'Only what comes after this: `next` of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE, description: `Default ${DEFAULT_PAGE}.` })),
}

/** `after` of the next page; null on the last one. */
export const NextSchema = Type.Union([Type.String(), Type.Null()])

export interface PageQuery {
  readonly after?: string
  readonly limit?: number
}

/** The query with what is left out. */
export function pageBounds({ after = '', limit = DEFAULT_PAGE }: PageQuery): {
  readonly after: string
  readonly limit: number
} {
  return { after, limit }
}

/**
 * A part of a list. Items of the same key are never separated, so that none is lost between two pages.
 * @param items in ascending order of their keys
 */
export function pageOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  query: PageQuery,
): { readonly data: readonly T[]; readonly next: string | null } {
  const { after, limit } = pageBounds(query)
  const rest = items.filter((item) => keyOf(item) > after)
  const last = rest[limit - 1]
  if (last === undefined || rest.length === limit) return { data: rest, next: null }
  const next = keyOf(last)
  const data = rest.filter((item) => keyOf(item) <= next)
  return { data, next: data.length < rest.length ? next : null }
}

/** A key that sorts as text as the number does. */
export function numberKey(value: number): string {
  return value.toString().padStart(16, '0')
}
