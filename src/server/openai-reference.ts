import type { TObject } from 'typebox'
import { ChatBody } from './apis/chat-completions/schema.ts'
import { CompletionBody } from './apis/completions/schema.ts'
import { GenerateBody } from './apis/generate/schema.ts'
import { ResponseBody } from './apis/responses/schema.ts'
import type { FieldRule, OpenAiApi } from './fields/rule.ts'
import { FIELD_RULES } from './fields/table.ts'

const BODIES: readonly (readonly [api: OpenAiApi, path: string, body: TObject])[] = [
  ['chat-completions', '`POST /v1/chat/completions`', ChatBody],
  ['completions', '`POST /v1/completions`', CompletionBody],
  ['responses', '`POST /v1/responses`', ResponseBody],
  ['generate', '`POST /v1/tasks/{task}/generate`', GenerateBody],
]

/** What becomes of every field of an OpenAI-shaped request, as `docs/openai.md`: made from schemas and table, compared by a test. */
export function openAiReference(): string {
  const rules = [...FIELD_RULES.values()].flat()
  const sections = [
    '## Honoured\n\n' + honoured(),
    '## Accepted without effect\n\nNamed in the header `x-troupe-ignored` of the answer.\n\n' +
      listed(rules, 'ignored'),
    '## Refused\n\nThey would change the answer. Values that ask for what happens anyway are taken.\n\n' +
      listed(rules, 'refused'),
  ]
  return `${INTRODUCTION}\n${sections.join('\n')}`
}

const INTRODUCTION = `# Requests in OpenAI’s form

<!-- Written by "npm run openapi" from src/server/fields and the schemas of the APIs. -->

Every field of a request is one of three things: honoured, accepted without effect, or refused by name because it would change the answer and
cannot be honoured. \`null\` means "not given" everywhere. A field that is in none of these lists has no effect either and is named in the header
\`x-troupe-ignored\`; with \`--strict-requests\` it is refused instead.

Messages are taken as clients dump them, with all the fields of an answer sent back. Special tokens written in messages, tools and inputs stay
text unless the request sends \`parse_special: true\`; in a raw \`prompt\` they count, as it is the client’s own, unless it sends \`false\`.
`

function honoured(): string {
  const fields = new Map<string, { apis: OpenAiApi[]; about: string }>()
  for (const [api, , body] of BODIES)
    for (const [name, schema] of Object.entries(body.properties)) {
      const { description } = schema as { readonly description?: string }
      const entry = fields.get(name) ?? { apis: [], about: description ?? innerDescription(schema) }
      entry.apis.push(api)
      fields.set(name, entry)
    }
  const rows = [...fields].map(([name, { apis, about }]) => row(`\`${name}\``, where(apis), about))
  return table(['field', 'in', 'note'], rows)
}

/** The description of an optional field's own schema. */
function innerDescription(schema: unknown): string {
  const options = (schema as { readonly anyOf?: readonly { readonly description?: string }[] }).anyOf ?? []
  return options.find(({ description }) => description !== undefined)?.description ?? ''
}

function listed(rules: readonly FieldRule[], verdict: FieldRule['verdict']): string {
  const rows = rules
    .filter((rule) => rule.verdict === verdict)
    .map(({ field, origin, apis, because }) => row(`\`${field}\``, origin, where(apis ?? []), because))
  return table(['field', 'of', 'in', 'why'], rows)
}

function where(apis: readonly OpenAiApi[]): string {
  return apis.length === 0 || apis.length === BODIES.length ? 'all' : apis.join(', ')
}

function table(head: readonly string[], rows: readonly string[]): string {
  return [row(...head), row(...head.map(() => '---')), ...rows].join('\n') + '\n'
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
