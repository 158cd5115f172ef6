import type { CallSyntax } from '../core/call-syntax.ts'
import { MARKER_BYTE } from '../core/call-syntax.ts'
import { TroupeError } from '../core/errors.ts'
import type { Budget } from './limits.ts'
import { unsupported } from './limits.ts'
import { wholePattern } from './regex/languages.ts'
import type { PartsBuilder } from './rules/builder.ts'
import { compileSchema } from './schema/compile.ts'

/** A function that may be called. */
interface CallableTool {
  readonly name: string
  /** Schema of its arguments. */
  readonly schema: unknown
  /** Whether properties keep the order of the schema. */
  readonly ordered: boolean
}

/** Calls of functions, as a model writes them. */
export interface CallsSpec {
  readonly type: 'calls'
  readonly syntax: CallSyntax
  readonly tools: readonly CallableTool[]
  /** Whether there may be more than one call. */
  readonly several: boolean
  /** What may stand there instead: nothing, text, or text that also has calls in it. */
  readonly text: boolean
}

/**
 * Calls, with or without text around them.
 *
 * @throws TroupeError naming the tool whose schema cannot be enforced
 */
export function callParts(build: PartsBuilder, spec: CallsSpec, budget: Budget): number {
  const { syntax, tools, several } = spec
  const written = (text: string): number => markedText(build, text, syntax.markers)
  const calls = tools.map((tool) => {
    const json = build.json({ nodes: argumentNodes(tool, budget), blanks: true })
    return build.sequence([
      written(syntax.open + tool.name),
      middle(build, syntax, budget),
      json,
      written(syntax.close),
    ])
  })
  const call = build.either(calls)
  const further = build.sequence([written(syntax.between), call])
  const group = build.sequence([
    ...[written(syntax.first), call],
    ...(several ? [build.repeat(further, 0, Infinity)] : []),
    written(syntax.last),
  ])
  if (!spec.text) return group
  const text = (pattern: string): number =>
    build.text({ words: null, dfa: wholePattern(pattern, budget, 'tools'), min: 0, max: Infinity })
  if (syntax.sign === null) {
    const begin = escaped(syntax.first + syntax.open.slice(0, 1))
    const marks = syntax.markers.map((marker) => `|${escaped(marker)}`).join('')
    return build.either([group, text(`^(?!\\s*(${begin}${marks}))[^]*$`)])
  }
  const free = text(`^(?![^]*${escaped(syntax.sign)})[^]*$`)
  const more = build.sequence([group, free])
  return build.sequence([free, build.repeat(more, 0, several ? Infinity : 1)])
}

function middle(build: PartsBuilder, syntax: CallSyntax, budget: Budget): number {
  const rest = markedText(build, syntax.middle, syntax.markers)
  if (syntax.id === null) return rest
  const dfa = wholePattern('[a-zA-Z0-9]{9}', budget, 'tools')
  const id = [markedText(build, syntax.id, syntax.markers), build.text({ words: null, dfa, min: 0, max: Infinity })]
  return build.sequence([...id, rest])
}

/** A text in which markers may be special tokens. */
function markedText(build: PartsBuilder, text: string, markers: readonly string[]): number {
  const found = markers
    .map((marker, index) => ({ marker, index, at: text.indexOf(marker) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)[0]
  if (!found) return build.literal(text)
  const token = build.literal(Uint8Array.of(MARKER_BYTE, found.index))
  return build.sequence([
    build.literal(text.slice(0, found.at)),
    build.either([token, build.literal(found.marker)]),
    markedText(build, text.slice(found.at + found.marker.length), markers),
  ])
}

function argumentNodes({ name, schema, ordered }: CallableTool, budget: Budget) {
  const at = `the parameters of \`${name}\``
  try {
    return compileSchema(objectSchema(schema, at), ordered, budget)
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error
    throw new TroupeError(error.code, `${at}: ${error.message}`, { param: error.param, cause: error })
  }
}

/** Arguments are an object, whatever else their schema says. */
function objectSchema(schema: unknown, at: string): unknown {
  if (typeof schema !== 'object' || schema === null) return { type: 'object' }
  if (!('type' in schema)) return { ...schema, type: 'object' }
  const { type } = schema
  if (type === 'object' || (Array.isArray(type) && type.includes('object'))) return { ...schema, type: 'object' }
  throw unsupported(at, `\`type\` is ${JSON.stringify(type)}`, 'arguments are an object')
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
