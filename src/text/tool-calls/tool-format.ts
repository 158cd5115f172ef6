import type { CallSyntax } from '../../core/call-syntax.ts'
import { objectsIn, rawFields, rawObjects } from './raw-json.ts'

/** A call of a function that the model wrote; `arguments` is a JSON object as text. */
export interface ToolCall {
  readonly name: string
  readonly arguments: string
}

/** How a model writes calls into its answer. */
export interface ToolFormat {
  /** What a call begins with. */
  readonly open: readonly string[]
  /** Only at the start of the answer. */
  readonly atStart: boolean
  /** What ends it; null = the end of the answer. */
  readonly close: string | null
  /** How calls are written where they are asked for. */
  readonly syntax: CallSyntax
  /** The calls between `open` and `close`; null when it is something else. */
  parse(block: string): readonly ToolCall[] | null
}

/** Hermes, Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. */
const HERMES: ToolFormat = {
  open: ['<tool_call>'],
  atStart: false,
  close: '</tool_call>',
  syntax: {
    ...{ first: '', between: '\n', last: '' },
    ...objectSyntax('arguments', '<tool_call>\n', '\n</tool_call>'),
    ...{ sign: '<tool_call>', markers: ['<tool_call>', '</tool_call>'] },
  },
  parse: (block) => callsOf([block], ['arguments']),
}

/** Mistral: `[TOOL_CALLS][{"name": …, "arguments": {…}}]`, newer ones `[TOOL_CALLS]name[ARGS]{…}`; both are read, the template's is begun. */
const MISTRAL: Omit<ToolFormat, 'syntax'> = {
  open: ['[TOOL_CALLS]'],
  atStart: false,
  close: null,
  parse: (block) => {
    const list = rawObjects(block)
    if (list) return callsOf(list, ['arguments'])
    const parts = block.split('[TOOL_CALLS]').map((part) => NAMED_CALL.exec(part.trim()))
    const calls = parts.map((part) => (part ? callOf(part[1]!, part[2]!) : null))
    return calls.every((call) => call !== null) ? calls : null
  },
}
const NAMED_CALL = /^([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?(\{.*\})$/s

/** Llama 3.1 and later: the whole answer is `{"name": …, "parameters": {…}}`, several with `;` between them. */
const LLAMA: ToolFormat = {
  open: ['<|python_tag|>', '{'],
  atStart: true,
  close: null,
  syntax: {
    ...{ first: '', between: '; ', last: '' },
    ...objectSyntax('parameters', '', ''),
    ...{ sign: null, markers: ['<|python_tag|>'] },
  },
  parse: (block) => {
    const objects = objectsIn(block.replace('<|python_tag|>', ''), /^[\s;]*$/)
    return objects && objects.length > 0 ? callsOf(objects, ['parameters', 'arguments']) : null
  },
}

/** The format that a chat template shows to the model; null when it shows none that is known. */
export function toolFormatOf(template: string): ToolFormat | null {
  // With <function=…> inside, the same tag holds no JSON.
  if (template.includes('<tool_call>')) return template.includes('<function=') ? null : HERMES
  if (template.includes('[TOOL_CALLS]')) return { ...MISTRAL, syntax: mistralSyntax(template) }
  const llama = template.includes('<|python_tag|>') || template.includes('ipython')
  return llama && template.includes('parameters') ? LLAMA : null
}

function mistralSyntax(template: string): CallSyntax {
  const marks = { sign: '[TOOL_CALLS]', markers: ['[TOOL_CALLS]', '[CALL_ID]', '[ARGS]'] }
  if (template.includes('[ARGS]')) {
    const id = template.includes('[CALL_ID]') ? '[CALL_ID]' : null
    const call = { open: '[TOOL_CALLS]', middle: '[ARGS]', close: '', id }
    return { first: '', between: '', last: '', ...call, ...marks }
  }
  const space = template.includes('[TOOL_CALLS] ') ? ' ' : ''
  const list = { first: `[TOOL_CALLS]${space}[`, between: ', ', last: ']' }
  return { ...list, ...objectSyntax('arguments', '', ''), ...marks }
}

function objectSyntax(argumentsField: string, before: string, after: string) {
  return { open: `${before}{"name": "`, middle: `", "${argumentsField}": `, close: `}${after}`, id: null }
}

function callsOf(objects: readonly string[], argumentNames: readonly string[]): readonly ToolCall[] | null {
  const calls = objects.map((object) => {
    const fields = rawFields(object)
    const name = fields?.get('name')
    const given = argumentNames.map((field) => fields?.get(field)).find((value) => value !== undefined)
    return name?.startsWith('"') && given !== undefined ? callOf(JSON.parse(name) as string, given) : null
  })
  return calls.every((call) => call !== null) ? calls : null
}

/** Arguments are an object, or an object written into a text. */
function callOf(name: string, raw: string): ToolCall | null {
  const text = raw.startsWith('"') ? (JSON.parse(raw) as string) : raw
  return name !== '' && rawFields(text) ? { name, arguments: text } : null
}
