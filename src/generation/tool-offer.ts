import { TroupeError } from '../core/errors.ts'
import type { TextPort } from './ports.ts'
import type { JsonObject } from '../core/json.ts'

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
}

/**
 * The tools the model gets to see, and the beginning of a call where `tool_choice` asks for one; null without tools.
 *
 * @throws TroupeError `invalid_request` for two tools of one name, a choice that is not among them, or one that cannot be begun for this model
 */
export function offeredTools(
  tools: readonly Tool[] | null,
  choice: ToolChoice | null,
  text: Pick<TextPort, 'toolOpening'>,
): ToolOffer | null {
  if (!tools) {
    if (!choice || choice === 'auto' || choice === 'none') return null
    throw refusal('`tool_choice` asks for a call, but there are no `tools`')
  }
  if (choice === 'none') return null
  const names = toolNames(tools)
  const twice = names.findIndex((name, i) => names.indexOf(name) < i)
  if (twice < 0) return { tools, begun: beginning(choice ?? 'auto', names, text) }
  const param = `tools[${twice}].function.name`
  throw new TroupeError('invalid_request', `\`${param}\`: there is a tool \`${names[twice]}\` already`, { param })
}

export function toolNames(tools: readonly Tool[]): string[] {
  return tools.map((tool) => tool.function.name)
}

/** With one tool, `required` means that one. */
function beginning(choice: ToolChoice, names: readonly string[], text: Pick<TextPort, 'toolOpening'>): string {
  if (choice === 'auto') return ''
  const named = typeof choice === 'object' ? choice.function.name : null
  if (named !== null && !names.includes(named))
    throw refusal(`\`tool_choice\` names \`${named}\`, which is not among \`tools\``)
  const opening = text.toolOpening(named ?? (names.length === 1 ? names[0]! : null))
  if (opening !== null) return opening
  throw refusal(
    'the model’s chat template shows no form of calls that is known, so none can be begun: send `tool_choice: "auto"`',
  )
}

function refusal(message: string): TroupeError {
  return new TroupeError('invalid_request', message, { param: 'tool_choice' })
}
