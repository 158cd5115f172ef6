import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { FolderReport } from '../../src/intake/folder-report.ts'
import { packagePath } from '../../src/config/defaults.ts'
import { runCommand } from '../support/command.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

/** What TRL's trainer left after two steps on the demo model: see test/fixtures/generate. */
const ARCHIVE = join(import.meta.dirname, '../fixtures/trained/trl.tar.gz')
const OWN = ['adapter_config.json', 'adapter_model.safetensors']
const REST = [
  'README.md',
  'chat_template.jinja',
  'checkpoint-2/',
  'tokenizer.json',
  'tokenizer_config.json',
  'trainer_state.json',
  'training_args.bin',
]
let server: RunningServer

beforeAll(async () => {
  const model = packagePath('models/demo')
  server = await startTestServer({ model, name: 'demo', precision: 'int8', allowBaseMismatch: false })
})
afterAll(() => server.close())

it('a folder of a real training is served, with the same report from the upload and from inspect', async () => {
  const response = await fetch(`${server.url}/v1/adapters/tuned/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/gzip' },
    body: new Uint8Array(readFileSync(ARCHIVE)),
  })
  const body = (await response.json()) as { state: string; method: string; report: FolderReport }
  expect([response.status, body.state, body.method], JSON.stringify(body)).toEqual([201, 'ready', 'lora'])
  expect(body.report.took.map(({ file }) => file)).toEqual(OWN)
  expect(body.report.ignored.map(({ file }) => file)).toEqual(REST)
  // The trainer read its base model from a folder of its own.
  expect(body.report.warnings).toEqual([expect.stringContaining('the local path "./base"') as string])
  const inspected = await runCommand(['adapters', 'inspect', ARCHIVE, '--json'])
  const { report } = JSON.parse(inspected.stdout) as { report: FolderReport }
  expect({ ...report, warnings: body.report.warnings }).toEqual(body.report)
  const answer = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tuned', prompt: 'Classify: where is my parcel?', max_tokens: 4 }),
  })
  expect(answer.status).toBe(200)
})
