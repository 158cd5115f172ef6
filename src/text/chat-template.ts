import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject } from '../core/json.ts'
import { BoundedTemplate } from './bounded-template.ts'
import { readModelJson, readModelText, requireModelJson, tokenContent } from './model-files.ts'
import type { ToolFormat } from './tool-calls/tool-format.ts'
import { toolFormatOf } from './tool-calls/tool-format.ts'

export interface TemplateMessage {
  readonly role: string
  readonly content: string
  readonly name?: string
  /** Calls an assistant made, their arguments as objects. */
  readonly tool_calls?: readonly JsonObject[]
  /** The call that a message of role `tool` answers. */
  readonly tool_call_id?: string
  /** What the assistant thought before its answer. */
  readonly reasoning_content?: string
}

export interface ChatOptions {
  /** End the text where the answer begins. Default true. */
  readonly addGenerationPrompt?: boolean
  /** Tools as JSON schemas, in OpenAI's form. */
  readonly tools?: readonly JsonObject[]
  /** Texts to answer from, for templates that have a place for them. */
  readonly documents?: readonly JsonObject[]
  /** More variables of the template, such as `enable_thinking`. */
  readonly variables?: JsonObject
}

/** What a template can name. */
const IDENTIFIER = /^[A-Za-z_]\w*$/
/** Name of the template used when tools are given, where a model has several. */
const TOOL_TEMPLATE = 'tool_use'
const DEFAULT_TEMPLATE = 'default'

/** The model's chat template: conversation → prompt. A model without one, or with a broken one, still serves plain prompts. */
export class ChatTemplate {
  /** How the model is told to write calls of tools; null when the template shows no form that is known. */
  readonly toolFormat: ToolFormat | null

  readonly #templates: ReadonlyMap<string, BoundedTemplate>
  /** Whether the template that is used with tools reads them. */
  readonly #takesTools: boolean
  readonly #specialTokens: Readonly<Record<string, string>>
  /** Why there is nothing to render with; null when there is. */
  readonly #problem: string | null
  readonly #sources: readonly string[]

  private constructor(sources: ReadonlyMap<string, string>, specialTokens: Readonly<Record<string, string>>) {
    this.#specialTokens = specialTokens
    this.#sources = [...sources.values()]
    const templates = new Map<string, BoundedTemplate>()
    let problem = sources.size === 0 ? 'this model has no chat template' : null
    for (const [name, source] of sources) {
      try {
        templates.set(name, new BoundedTemplate(source))
      } catch (error) {
        problem = `this model’s chat template cannot be parsed: ${messageOf(error)}`
      }
    }
    this.#templates = templates
    this.#problem = problem
    const withTools = sources.get(TOOL_TEMPLATE) ?? sources.get(DEFAULT_TEMPLATE) ?? [...sources.values()][0] ?? ''
    this.#takesTools = /\btools\b/.test(withTools)
    this.toolFormat = toolFormatOf(withTools)
  }

  /** Looks in `chat_template.jinja`, then `tokenizer_config.json`, then `chat_template.json`. Throws `invalid_model` for unreadable files. */
  static async load(modelDir: string): Promise<ChatTemplate> {
    const config = await requireModelJson(modelDir, 'tokenizer_config.json')
    const file = await readModelText(modelDir, 'chat_template.jinja')
    const sources = file ?? config.chat_template ?? (await readModelJson(modelDir, 'chat_template.json'))?.chat_template
    return new ChatTemplate(templateSources(sources), specialTokensOf(config))
  }

  get available(): boolean {
    return this.#problem === null
  }

  /** Whether any of the templates names a variable. */
  reads(variable: string): boolean {
    if (!IDENTIFIER.test(variable)) return false
    const named = new RegExp(`(?<![\\w.])${variable}(?!\\w)`)
    return this.#sources.some((source) => named.test(source))
  }

  /**
   * The conversation as one text, special tokens written out (encode it without adding more).
   * Throws `invalid_request` when there is no usable template or the template refuses the conversation.
   */
  render(messages: readonly TemplateMessage[], options: ChatOptions = {}): string {
    if (this.#problem !== null)
      throw new TroupeError('invalid_request', `${this.#problem}: send a \`prompt\` instead of \`messages\``, {
        param: 'messages',
      })
    const { tools } = options
    if (tools && !this.#takesTools)
      throw new TroupeError('invalid_request', 'the model’s chat template has no place for tools: leave `tools` out', {
        param: 'tools',
      })
    const named = tools ? this.#templates.get(TOOL_TEMPLATE) : undefined
    const template = named ?? this.#templates.get(DEFAULT_TEMPLATE) ?? [...this.#templates.values()][0]!
    try {
      return template.render({
        ...this.#specialTokens,
        ...options.variables,
        messages,
        tools: tools ?? null,
        documents: options.documents ?? null,
        add_generation_prompt: options.addGenerationPrompt ?? true,
      })
    } catch (error) {
      throw new TroupeError(
        'invalid_request',
        `the model’s chat template refused the messages: ${messageOf(error)}; change their roles or order, or send a \`prompt\``,
        { param: 'messages', cause: error },
      )
    }
  }
}

/** One template, or several as a list of `{name, template}` or an object by name. */
function templateSources(value: unknown): ReadonlyMap<string, string> {
  if (typeof value === 'string') return new Map([[DEFAULT_TEMPLATE, value]])
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(value)
    ? value.filter(isJsonObject).map((entry) => [entry.name, entry.template] as const)
    : isJsonObject(value)
      ? Object.entries(value)
      : []
  return new Map(entries.filter((entry): entry is [string, string] => entry.every((part) => typeof part === 'string')))
}

/** `bos_token`, `eos_token` … of the configuration: the variables a template may use. */
function specialTokensOf(config: JsonObject): Readonly<Record<string, string>> {
  const tokens: Record<string, string> = {}
  for (const [key, value] of Object.entries(config)) {
    const content = key.endsWith('_token') ? tokenContent(value) : null
    if (content !== null) tokens[key] = content
  }
  return tokens
}
