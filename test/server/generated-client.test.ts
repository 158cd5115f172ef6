import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import openapiTS, { astToString } from 'openapi-typescript'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const dir = mkdtempSync(join(ROOT, 'node_modules/.generated-client-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const USE = `
import type { operations } from './client.ts'

type Answer<Name extends keyof operations> = operations[Name] extends {
  responses: { 200: { content: infer Content } }
}
  ? Content[keyof Content]
  : never

export function texts(
  chat: Answer<'createChatCompletion'>,
  completion: Answer<'createCompletion'>,
  generated: Answer<'generate'>,
  response: Answer<'createResponse'>,
): (string | null)[] {
  return [
    ...chat.choices.map(({ message }) => message.content),
    ...completion.choices.map(({ text }) => text),
    ...generated.choices.map(({ text }) => text),
    ...response.output.map((item) => (item.type === 'message' ? item.status : item.name)),
  ]
}

type Ask = NonNullable<operations['createChatCompletion']['requestBody']>['content']['application/json']
export const ask: Ask = { model: 'json', messages: [{ role: 'user', content: 'hi' }], temperature: null, made_up: 1 }
`

describe('a generated TypeScript client', () => {
  it('type-checks: a 200 is an answer and nothing else', async () => {
    const source = astToString(await openapiTS(new URL('../../openapi.yaml', import.meta.url)))
    writeFileSync(join(dir, 'client.ts'), source)
    writeFileSync(join(dir, 'use.ts'), USE)
    const program = ts.createProgram([join(dir, 'use.ts')], {
      ...{ strict: true, noEmit: true, allowImportingTsExtensions: true, skipLibCheck: true, types: [] },
      ...{
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.NodeNext,
        moduleResolution: ts.ModuleResolutionKind.NodeNext,
      },
    })
    const problems = ts.getPreEmitDiagnostics(program)
    expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
  }, 60_000)
})
