import { ERRORS } from '../core/errors.ts'

const WIDTH = 160

/** The error catalogue as `docs/errors.md`: made from the catalogue, compared by a test. */
export function errorReference(): string {
  const entries = Object.entries(ERRORS).map(
    ([code, { status, type, about }]) => `## \`${code}\`\n\n${wrapped(`${status}, \`${type}\`. ${about}`)}\n`,
  )
  return `${INTRODUCTION}\n${entries.join('\n')}`
}

/** Lines of the page's usual length. */
function wrapped(text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line !== '' && line.length + word.length >= WIDTH) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}

const INTRODUCTION = `# Errors

<!-- Written by "npm run openapi" from src/core/errors.ts. -->

Every error has one form:

\`\`\`json
{ "error": { "message": "…", "type": "…", "code": "…", "param": "…", "request_id": "…" } }
\`\`\`

\`code\` is stable, \`message\` is for people, \`param\` names the field, tensor or file at fault or is \`null\`. \`request_id\` is also in the header
\`x-request-id\` and in the log. \`429\` and \`503\` carry \`Retry-After\` in seconds. In a stream that has begun, an error is a last event
\`data: {"error": …}\` of the same form. Below: the codes, each with its HTTP status, its type, when it happens and what to do.
`
