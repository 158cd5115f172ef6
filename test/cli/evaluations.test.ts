import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { compare } from '../../src/cli/compare.ts'
import { evaluate } from '../../src/cli/eval.ts'
import { mixesOf } from '../../src/cli/mixes.ts'
import { scratchFolder } from '../support/at-exit.ts'
import { bytesOf } from '../support/fake-text.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp
let url: string
let printed: string

beforeEach(async () => {
  served = await testApp()
  url = await served.app.listen({ port: 0, host: '127.0.0.1' })
  printed = ''
  vi.spyOn(console, 'log').mockImplementation((text: string) => void (printed += `${text}\n`))
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
  served.engine.script = ({ mix }) => bytesOf(mix.length === 0 ? 'no' : 'yes')
})
afterEach(async () => {
  vi.restoreAllMocks()
  process.exitCode = undefined
  await served.app.close()
})

function setOf(...lines: readonly string[]): string {
  const path = join(scratchFolder('troupe-set-'), 'set.jsonl')
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}

describe('troupe eval', () => {
  it('prints scores, differences and sizes of the mixes', async () => {
    const set = setOf('{"input":"a","expected":"yes"}', '', '{"input":"b","expected":"yes"}')
    await evaluate(set, { url, task: 'extract', mixes: 'base,json@v1', metrics: 'exact_match' })
    expect(printed).toMatch(/done, 2 items, set sha256:/)
    expect(printed).toMatch(/^base +0 \(0 to 0\) +0 +0 /m)
    expect(printed).toMatch(/^json@v1 +1 \(1 to 1\) +128 +512 /m)
    expect(printed).toMatch(/^base − json@v1 +exact_match +-1 \(-1 to -1\) +0.50$/m)
    expect(process.exitCode).toBeUndefined()
  })

  it('prints the whole answer as JSON', async () => {
    await evaluate(setOf('{"prompt":"a","completion":"yes"}'), { url, mixes: 'json', metrics: 'token_f1', json: true })
    expect(JSON.parse(printed)).toMatchObject({ status: 'done', mixes: [{ metrics: { token_f1: { value: 1 } } }] })
  })

  it.each([
    ['/nowhere/set.jsonl', 'base', /cannot be read/],
    [null, 'nobody', /mixes\[0\].*nobody/],
    [null, 'json*x', /needs a number/],
  ])('says what is wrong with %s and %s', async (path, mixes, message) => {
    const set = path ?? setOf('{"prompt":"a","expected":"b"}')
    await expect(evaluate(set, { url, mixes, metrics: 'exact_match' })).rejects.toThrow(message)
  })

  it('names the line of a set that is no JSON, and a server that is not there', async () => {
    const flags = { url, mixes: 'base', metrics: 'exact_match' }
    await expect(evaluate(setOf('{"prompt":"a","expected":"b"}', '{'), flags)).rejects.toThrow(/line 2 is no JSON/)
    const gone = { ...flags, url: 'http://127.0.0.1:1' }
    await expect(evaluate(setOf('{"prompt":"a","expected":"b"}'), gone)).rejects.toThrow(/cannot be reached/)
  })
})

describe('troupe compare', () => {
  it('prints the answers, where they part, and how likely they are', async () => {
    await compare('x', { url, mixes: 'base,json@v1*0.5' })
    expect(printed).toMatch(/^base \(2 tokens, \d+ ms\)\nno$/m)
    expect(printed).toMatch(/^json@v1\*0.5 \(3 tokens, \d+ ms\)\nyes$/m)
    expect(printed).toMatch(/^base +json@v1\*0.5 +token 0$/m)
    expect(printed).toMatch(/^json@v1\*0.5 +-1.50 +-1.50$/m)
  })
})

it('reads compositions', () => {
  expect(mixesOf('base, a@v2,a@v2*0.5+b')).toEqual([
    { model: 'base' },
    { model: 'a@v2' },
    { label: 'a@v2*0.5+b', adapters: [{ name: 'a', version: 'v2', scale: 0.5 }, { name: 'b' }] },
  ])
})
