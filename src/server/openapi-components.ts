/** Any JSON value of a description. */
type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
type JsonObject = Readonly<Record<string, Json>>

/**
 * Moves every schema with a `title` to `components.schemas`, once, and puts references in its place. The routes carry their schemas whole,
 * so that each can be validated alone; readers and code generators want names.
 * Throws when two different schemas have the same title; of differing descriptions the first stays.
 */
export function hoistTitledSchemas<T extends object>(document: T): T {
  const schemas = new Map<string, Json>()

  const hoist = (value: Json): Json => {
    if (value === null || typeof value !== 'object') return value
    if (isList(value)) return value.map(hoist)
    const copy = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hoist(item)]))
    const { title } = copy
    if (typeof title !== 'string' || !('type' in copy)) return copy
    const known = schemas.get(title)
    if (known !== undefined && !sameSchema(known, copy))
      throw new Error(`two different schemas have the title ${title}`)
    if (known === undefined) schemas.set(title, copy)
    return { $ref: `#/components/schemas/${title}` }
  }

  const plain = JSON.parse(JSON.stringify(document)) as JsonObject
  const { paths = {}, components, ...rest } = plain
  const hoistedPaths = hoist(paths)
  const sorted = [...schemas].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    ...rest,
    paths: hoistedPaths,
    components: { ...(components as JsonObject | undefined), schemas: Object.fromEntries(sorted) },
  } as unknown as T
}

/** Whether two schemas differ in nothing but what they say about themselves. */
function sameSchema(a: Json, b: Json): boolean {
  const substance = (schema: Json): string => JSON.stringify({ ...(schema as JsonObject), description: null })
  return substance(a) === substance(b)
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value)
}
