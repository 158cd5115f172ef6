import { callOpening } from '../core/call-syntax.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { CallsSpec } from '../grammar/calls.ts'
import type { AnswerForm } from './answer-form.ts'
import type { TextPort } from './ports.ts'

/** A function the model may call, as chat templates read it. */
export interface Tool extends JsonObject {
  readonly type: 'function'
  readonly function: JsonObject & { readonly name: string }
}

export type ToolChoice = 'auto' | 'none' | 'required' | { readonly function: { readonly name: string } }

/** The tools of a request. */
export interface ToolOffer {
  /** Those the model gets to see. */
  readonly tools: readonly Tool[]
  /** How the answer is begun for the model, at the end of the prompt; empty where it decides by itself. */
  readonly begun: string
  /** What calls are held to; null where the model's way of writing them is not known. */
  readonly calls: CallsSpec | null
}

/** What a request says about tools. */
interface ToolWish {
  readonly tools: readonly Tool[] | null
  readonly choice: ToolChoice | null
  /** Whether there may be more than one call; default yes. */
  readonly parallel?: boolean | null
}

/**
 * The tools the model gets to see, and the beginning of a call where `tool_choice` asks for one; null without tools.
 *
 * @throws TroupeError `invalid_request` for two tools of one name, a choice that is not among them, or what a model whose form of calls is
 *   not known cannot be held to
 */
export function offeredTools(
  { tools, choice, parallel }: ToolWish,
  text: Pick<TextPort, 'callSyntax'>,
): ToolOffer | null {
  if (!tools) {
    if (!choice || choice === 'auto' || choice === 'none') return null
    throw refusal('`tool_choice` asks for a call, but there are no `tools`')
  }
  if (choice === 'none') return null
  const names = toolNames(tools)
  const twice = names.findIndex((name, i) => names.indexOf(name) < i)
  if (twice >= 0) {
    const param = `tools[${twice}].function.name`
    throw refusal(`\`${param}\`: there is a tool \`${names[twice]}\` already`, param)
  }
  const { callSyntax: syntax } = text
  const named = typeof choice === 'object' ? (choice?.function.name ?? null) : null
  if (named !== null && !names.includes(named))
    throw refusal(`\`tool_choice\` names \`${named}\`, which is not among \`tools\``)
  const forced = named !== null || choice === 'required'
  if (!syntax) {
    if (forced) throw refusal(`${UNKNOWN_FORM}, so none can be begun: send \`tool_choice: "auto"\``)
    const strict = tools.findIndex((tool) => tool.function.strict === true)
    if (strict < 0) return { tools, begun: '', calls: null }
    throw refusal(
      `${UNKNOWN_FORM}, so none can be held to a schema: send \`strict: false\``,
      `tools[${strict}].function.strict`,
    )
  }
  const callable = named === null ? tools : tools.filter((tool) => tool.function.name === named)
  const calls: CallsSpec = {
    type: 'calls',
    syntax,
    tools: callable.map(({ function: { name, parameters, strict } }) => ({
      name,
      // Where the model decides by itself, it is held to the schemas that are to be kept.
      schema: forced || strict === true ? (parameters ?? null) : null,
      ordered: strict === true,
    })),
    several: named === null && parallel !== false,
    text: !forced,
  }
  // With one tool, `required` means that one.
  const begun = forced ? callOpening(syntax, named ?? (names.length === 1 ? names[0]! : null)) : ''
  return { tools, begun, calls }
}

const UNKNOWN_FORM = 'the model’s chat template shows no form of calls that is known'

/**
 * What the answer is held to where tools are offered: a call that must come to the schema of its function. Where the model decides by
 * itself, a call or what `form` says, and nothing where neither is to be kept.
 */
export function formWithTools(offer: ToolOffer | null, form: AnswerForm | null): AnswerForm | null {
  if (!offer?.calls) return form
  const { begun, calls, tools } = offer
  if (!calls.text) return { field: 'tools', spec: calls, begun }
  if (form) return { field: form.field, spec: { type: 'either', specs: [{ ...calls, text: false }, form.spec] } }
  return tools.some((tool) => tool.function.strict === true) ? { field: 'tools', spec: calls } : null
}

export function toolNames(tools: readonly Tool[]): string[] {
  return tools.map((tool) => tool.function.name)
}

function refusal(message: string, param = 'tool_choice'): TroupeError {
  return new TroupeError('invalid_request', message, { param })
}
