import { TroupeError } from '../../core/errors.ts'
import type { SchemaNode } from './branch.ts'
import { branchesOf, isObject, meantBranch } from './branch.ts'
import type { FieldRule, OpenAiApi } from './rule.ts'
import { FIELD_RULES } from './table.ts'

/** A body as its schema has it, and the fields that were left out of it. */
export interface TakenFields {
  readonly body: unknown
  /** Patterns such as `messages[].annotations`, each once. */
  readonly ignored: readonly string[]
}

/**
 * Brings a body into the form of its schema: `null` means "not given", fields that no schema names are dealt with by the table. Values are
 * not looked at: that is the validator's part. Only objects whose schema lists properties are changed; what passes through to a template or
 * a model stays as it is.
 *
 * @param strict refuse fields that neither a schema nor the table knows
 * @throws TroupeError `invalid_request` for what would change the answer
 */
export function takeFields(api: OpenAiApi, schema: SchemaNode, body: unknown, strict: boolean): TakenFields {
  const ignored = new Set<string>()
  const whole = isObject(body) ? body : {}

  const take = (node: SchemaNode, value: unknown, path: string, pattern: string): unknown => {
    const options = branchesOf(node)
    if (options) {
      const meant = options.length === 1 ? options[0] : meantBranch(options, value)
      return meant ? take(meant, value, path, pattern) : value
    }
    if (Array.isArray(value)) {
      const items = node.items as SchemaNode | undefined
      return items ? value.map((item, i) => take(items, item, `${path}[${i}]`, `${pattern}[]`)) : value
    }
    if (!isObject(value) || !isObject(node.properties)) return value
    const properties = node.properties as Readonly<Record<string, SchemaNode>>
    const kept: [string, unknown][] = []
    for (const [name, item] of Object.entries(value)) {
      if (item === null) continue
      const [at, as] = [joined(path, name), joined(pattern, name)]
      if (Object.hasOwn(properties, name)) kept.push([name, take(properties[name]!, item, at, as)])
      else if (!isHarmless(api, as, at, item, whole, strict)) ignored.add(as)
    }
    return Object.fromEntries(kept)
  }

  return { body: take(schema, body, '', ''), ignored: [...ignored] }
}

/** Whether a field that no schema names asks for what happens anyway. Throws where it would change the answer. */
function isHarmless(
  api: OpenAiApi,
  pattern: string,
  path: string,
  value: unknown,
  body: Readonly<Record<string, unknown>>,
  strict: boolean,
): boolean {
  const rule = ruleOf(api, pattern)
  if (rule?.harmless(value, body)) return true
  if (rule?.verdict === 'refused')
    throw new TroupeError('invalid_request', `\`${path}\` is not supported: ${rule.because}`, { param: path })
  if (!rule && strict)
    throw new TroupeError(
      'invalid_request',
      `\`${path}\` is unknown: remove it, or start the server without --strict-requests`,
      { param: path },
    )
  return false
}

function ruleOf(api: OpenAiApi, field: string): FieldRule | undefined {
  return FIELD_RULES.get(field)?.find(({ apis }) => apis === null || apis.includes(api))
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
