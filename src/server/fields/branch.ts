/** What a JSON Schema node looks like from here. */
export type SchemaNode = Readonly<Record<string, unknown>>

/** The options of a union but for `null`, which always means "not given"; null where the node is no union. */
export function branchesOf(node: SchemaNode): readonly SchemaNode[] | null {
  return Array.isArray(node.anyOf) ? (node.anyOf as SchemaNode[]).filter(({ type }) => type !== 'null') : null
}

/** The option of a union that the sender of a value meant; null when the value looks like none of them. */
export function meantBranch(options: readonly SchemaNode[], value: unknown): SchemaNode | null {
  let best: SchemaNode | null = null
  let most = 0
  for (const option of options) {
    const fit = fitOf(option, value)
    if (fit > most) [best, most] = [option, fit]
  }
  return best
}

/** How far a value looks like a schema: 0 = not even its type; constants that agree, such as a `type`, weigh most. */
function fitOf(node: SchemaNode, value: unknown): number {
  const options = branchesOf(node)
  if (options) return Math.max(0, ...options.map((option) => fitOf(option, value)))
  if ('const' in node) return value === node.const ? 2 : 0
  if (Array.isArray(node.enum)) return node.enum.includes(value) ? 2 : typeof value === typeof node.enum[0] ? 0.5 : 0
  if (node.type === 'array') return Array.isArray(value) ? 1 + arrayFit(node, value) : 0
  if (node.type === 'object') return isObject(value) ? 1 + objectFit(node, value) : 0
  if (node.type === 'number') return Number.isFinite(value) ? 1 : 0
  if (node.type === 'integer') return Number.isInteger(value) ? 2 : typeof value === 'number' ? 1 : 0
  if (typeof node.type === 'string') return typeof value === node.type ? 1 : 0
  return 0.1
}

function arrayFit(node: SchemaNode, value: readonly unknown[]): number {
  return value.length === 0 ? 0 : fitOf((node.items ?? {}) as SchemaNode, value[0]) / 2
}

function objectFit(node: SchemaNode, value: Readonly<Record<string, unknown>>): number {
  let fit = 0
  for (const [name, property] of Object.entries((node.properties ?? {}) as Record<string, SchemaNode>)) {
    if (!Object.hasOwn(value, name)) continue
    const decides = 'const' in property || Array.isArray(property.enum)
    if (decides) fit += fitOf(property, value[name]) >= 2 ? 4 : -0.5
    else fit += 0.1
  }
  return Math.max(fit, 0)
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
