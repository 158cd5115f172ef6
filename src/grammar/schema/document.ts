import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import { invalid, unsupported } from '../limits.ts'

export type Schema = JsonObject | boolean

/** A schema and where it was found: references in it are relative to `base`. */
export interface Located {
  readonly schema: Schema
  readonly base: string
}

/** Where schemas stand in a schema. */
const ONE = [
  'additionalProperties',
  'additionalItems',
  'contains',
  'contentSchema',
  'else',
  'if',
  'items',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
]
const LISTS = ['allOf', 'anyOf', 'oneOf', 'prefixItems', 'items']
const MAPS = ['$defs', 'definitions', 'dependencies', 'dependentSchemas', 'patternProperties', 'properties']

const ROOT = 'schema://root/'

/** One schema document: its resources, anchors and places. */
export class SchemaDocument {
  readonly root: Located
  /** Whether references depend on the way they are reached. */
  readonly dynamic: boolean = false
  /** Whether results depend on what was evaluated by other keywords. */
  readonly unevaluated: boolean = false
  readonly #resources = new Map<string, Located>()
  readonly #anchors = new Map<string, Located>()
  readonly #dynamicAnchors = new Map<string, Located>()
  readonly #places = new Map<JsonObject, string>()
  readonly #bases = new Map<JsonObject, string>()

  /** Throws `invalid_request` for something that is no schema. */
  constructor(root: unknown) {
    this.root = this.#read(root, ROOT, '#')
    this.#resources.set(ROOT, this.root)
  }

  /** The place of a schema in the document, such as `#/properties/name`. */
  placeOf(schema: Schema): string {
    return isJsonObject(schema) ? (this.#places.get(schema) ?? '#') : '#'
  }

  /** A schema directly in another one. */
  child(parent: Located, schema: Schema): Located {
    const base = isJsonObject(schema) ? (this.#bases.get(schema) ?? parent.base) : parent.base
    return { schema, base }
  }

  /** What `$ref` names. Throws `unsupported_schema` for other documents, `invalid_request` for what does not exist. */
  resolve(ref: unknown, from: Located): Located {
    const at = this.placeOf(from.schema)
    if (typeof ref !== 'string') throw invalid(at, '`$ref` must be a string')
    const url = parseUrl(ref, from.base)
    const hash = url.indexOf('#')
    const [document, fragment] = hash < 0 ? [url, ''] : [url.slice(0, hash), url.slice(hash + 1)]
    const resource = this.#resources.get(document)
    if (!resource) throw unsupported(at, `\`$ref\` \`${ref}\` names another document`, 'put what it names into `$defs`')
    if (fragment !== '' && !fragment.startsWith('/')) {
      const anchor = this.#anchors.get(url)
      if (anchor) return anchor
      throw invalid(at, `\`$ref\` \`${ref}\` names no anchor of the schema`)
    }
    return this.#follow(resource, fragment, ref, at)
  }

  /**
   * What `$dynamicRef` names.
   *
   * @param scope the bases of the resources passed on the way here, outermost first
   */
  resolveDynamic(ref: unknown, from: Located, scope: readonly string[]): Located {
    const target = this.resolve(ref, from)
    const anchor = typeof ref === 'string' ? ref.slice(ref.indexOf('#') + 1) : ''
    const dynamic = isJsonObject(target.schema) && target.schema.$dynamicAnchor === anchor
    if (!dynamic) return target
    for (const base of scope) {
      const found = this.#dynamicAnchors.get(`${base}#${anchor}`)
      if (found) return found
    }
    return target
  }

  #follow(resource: Located, pointer: string, ref: string, at: string): Located {
    let { schema: value, base } = resource as { schema: unknown; base: string }
    const steps = pointer === '' ? [] : pointer.slice(1).split('/')
    for (const step of steps) {
      const key = decodePointer(step)
      value = Array.isArray(value)
        ? (value as unknown[])[Number(key)]
        : isJsonObject(value) && Object.hasOwn(value, key)
          ? value[key]
          : undefined
      if (isJsonObject(value)) base = this.#bases.get(value) ?? base
    }
    if (typeof value === 'boolean') return { schema: value, base }
    if (!isJsonObject(value)) throw invalid(at, `\`$ref\` \`${ref}\` names nothing in the schema`)
    return this.#places.has(value) ? { schema: value, base } : this.#read(value, base, `#${pointer}`)
  }

  #read(value: unknown, base: string, place: string): Located {
    if (typeof value === 'boolean') return { schema: value, base }
    if (!isJsonObject(value)) throw invalid(place, 'a schema must be an object or a boolean')
    this.#places.set(value, place)
    if (place.split('/').length > 400) throw invalid(place, 'the schema is nested too deeply')
    const located = { schema: value, base: this.#identify(value, base, place) }
    this.#bases.set(value, located.base)
    this.#noteAnchors(value, located)
    for (const key of ONE)
      if (value[key] !== undefined && !Array.isArray(value[key]))
        this.#read(value[key], located.base, `${place}/${key}`)
    for (const key of LISTS)
      if (Array.isArray(value[key]))
        for (const [i, item] of (value[key] as unknown[]).entries())
          this.#read(item, located.base, `${place}/${key}/${i}`)
    for (const key of MAPS)
      if (isJsonObject(value[key]))
        for (const [name, item] of Object.entries(value[key]))
          if (!Array.isArray(item)) this.#read(item, located.base, `${place}/${key}/${encodePointer(name)}`)
    return located
  }

  #identify(schema: JsonObject, base: string, place: string): string {
    if (typeof schema.$id !== 'string') return base
    const own = parseUrl(schema.$id, base).replace(/#$/, '')
    if (own.includes('#')) throw invalid(place, '`$id` must have no fragment')
    this.#resources.set(own, { schema, base: own })
    return own
  }

  #noteAnchors(schema: JsonObject, located: Located): void {
    const note = this as { dynamic: boolean; unevaluated: boolean }
    if (schema.$dynamicRef !== undefined) note.dynamic = true
    if (schema.unevaluatedItems !== undefined || schema.unevaluatedProperties !== undefined) note.unevaluated = true
    for (const anchor of [schema.$anchor, schema.$dynamicAnchor])
      if (typeof anchor === 'string') this.#anchors.set(`${located.base}#${anchor}`, located)
    if (typeof schema.$dynamicAnchor === 'string')
      this.#dynamicAnchors.set(`${located.base}#${schema.$dynamicAnchor}`, located)
  }
}

function parseUrl(reference: string, base: string): string {
  if (reference.startsWith('#')) return base.split('#')[0]! + reference
  try {
    return new URL(reference, base).href
  } catch {
    return reference
  }
}

function decodePointer(step: string): string {
  let text = step
  try {
    text = decodeURIComponent(step)
  } catch {
    // A stray `%` stands for itself.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~')
}

function encodePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}
