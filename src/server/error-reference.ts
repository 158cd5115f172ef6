import { ERRORS } from '../core/errors.ts'

/** The error catalogue as `docs/errors.md`: made from the catalogue, compared by a test. */
export function errorReference(): string {
  const entries = Object.entries(ERRORS).map(
    ([code, { status, type, about }]) => `## \`${code}\`\n\n${status}, \`${type}\`. ${about}\n`,
  )
  return `${INTRODUCTION}\n${entries.join('\n')}`
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
