import { readFileSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { validatorOf } from '../test/support/grammar.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import { begin } from './begin.ts'

/** Samples answers of the bundled model, which has learnt no JSON, and looks whether all of them fit their schemas. */

begin()
const { values: options } = parseArgs({
  options: { answers: { type: 'string', default: '2000' }, json: { type: 'string' } },
})
const answers = Number(options.answers)
const ROWS = 8
const MAX_TOKENS = 600
const SCHEMAS = JSON.parse(
  readFileSync(new URL('../test/fixtures/grammar/real-shapes.json', import.meta.url), 'utf8'),
) as Record<string, object>

interface Completion {
  readonly choices: readonly { readonly text: string; readonly finish_reason: string }[]
}

const tally = { failed: 0, answers: 0, ended: 0, invalid: 0, tokens: 0 }
const cut = new Map<string, number>()
const store = scratchFolder('troupe-structured-')
const server = await startServerProcess(new URL('../models/demo', import.meta.url).pathname, store)
const started = performance.now()
try {
  const perSchema = Math.ceil(answers / Object.keys(SCHEMAS).length)
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    const valid = validatorOf(schema)
    for (let done = 0; done < perSchema; done += ROWS) {
      const completion = await sample(schema, Math.min(ROWS, perSchema - done), done)
      if (typeof completion === 'string') {
        tally.failed++
        console.log(`${name}: ${completion}`)
        continue
      }
      for (const { text, finish_reason: reason } of completion.choices) {
        tally.answers++
        if (reason !== 'stop') {
          cut.set(name, (cut.get(name) ?? 0) + 1)
          continue
        }
        tally.ended++
        if (isValid(valid, text)) continue
        tally.invalid++
        console.log(`${name}: ${text}`)
      }
    }
  }
} finally {
  await server.kill()
  rmSync(store, { recursive: true, force: true })
}
const seconds = (performance.now() - started) / 1000
for (const [name, count] of cut) console.log(`cut off at ${MAX_TOKENS} tokens: ${name}, ${count} times`)

const rows: Row[] = [
  {
    name: 'schemas',
    value: Object.keys(SCHEMAS).length,
    unit: '',
    target: '≥ 50',
    met: Object.keys(SCHEMAS).length >= 50,
  },
  { name: 'answers', value: tally.answers, unit: '', target: `≥ ${answers}`, met: tally.answers >= answers },
  { name: 'requests that failed', value: tally.failed, unit: '', target: '0', met: tally.failed === 0 },
  {
    name: 'answers that do not fit their schema',
    value: tally.invalid,
    unit: '',
    target: '0',
    met: tally.invalid === 0,
  },
  {
    name: `answers cut off at ${MAX_TOKENS} tokens`,
    value: tally.answers - tally.ended,
    unit: '',
    target: null,
    met: null,
  },
  { name: 'answers per second', value: tally.answers / seconds, unit: '1/s', target: null, met: null },
]
report(`npm run structured-output -- --answers ${answers}`, rows, options.json)

async function sample(schema: object, n: number, seed: number): Promise<Completion | string> {
  const format = { type: 'json_schema', json_schema: { name: 'shape', schema, strict: seed % (2 * ROWS) === 0 } }
  const body = {
    model: 'demo',
    prompt: 'Answer in JSON:\n',
    temperature: 1,
    n,
    seed,
    max_tokens: MAX_TOKENS,
    response_format: format,
  }
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) return response.text()
  return (await response.json()) as Completion
}

function isValid(valid: (value: unknown) => boolean, text: string): boolean {
  try {
    return valid(JSON.parse(text))
  } catch {
    return false
  }
}
