import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Row } from '../../src/bench/report.ts'
import { Client } from '../support/client.ts'
import { runCommand } from '../support/command.ts'
import { adapterFiles, modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { startTestServer } from '../support/server.ts'
import type { RunningServer } from '../support/server.ts'

const TIMEOUT = 120_000

let server: RunningServer

beforeAll(async () => {
  server = await startTestServer({ model: modelDir('llama'), name: 'tiny' })
  for (const rank of ['r4', 'r8']) {
    const { status } = await new Client(server.url).upload(`tone-${rank}`, adapterFiles('llama', `lora-${rank}`))
    expect(status).toBe(201)
  }
}, TIMEOUT)
afterAll(() => server.close())

/** Runs the command and reads the figures it wrote. */
async function bench(...flags: string[]): Promise<{ stderr: string; stdout: string; figures: Map<string, Row> }> {
  const json = join(await temporaryFolder(), 'figures.json')
  const { code, stdout, stderr } = await runCommand(['bench', '--url', server.url, '--json', json, ...flags])
  expect(stderr).not.toMatch(/^troupe:/m)
  expect(code).toBe(0)
  const { rows } = JSON.parse(await readFile(json, 'utf8')) as { rows: Row[] }
  return { stdout, stderr, figures: new Map(rows.map((row) => [row.name, row])) }
}

describe('troupe bench', () => {
  it(
    'asks for a mix of adapters and writes what it measured',
    async () => {
      const sizes = ['--requests', '12', '--concurrency', '3', '--prompt-tokens', '4-9', '--max-tokens', '5']
      const { stdout, stderr, figures } = await bench(...sizes, '--models', 'tone-*,tiny', '--zipf', '0.5')
      const value = (name: string): number | null | undefined => figures.get(name)?.value
      expect(value('requests')).toBe(12)
      expect(value('failed')).toBe(0)
      expect(value('goodput: share within the limits')).toBe(1)
      for (const name of ['tokens per second', 'time to first token, p99', 'inter-token latency, p50']) {
        expect(value(name)).toBeGreaterThan(0)
      }
      const found = ['hot', 'warm', 'cold'].map((tier) => value(`adapters found ${tier}`)!)
      const onAdapters = found.reduce((sum, count) => sum + count, 0)
      expect(onAdapters).toBeGreaterThan(0)
      expect(onAdapters).toBeLessThanOrEqual(12)
      expect(stdout).toMatch(/^requests +12\.00/m)
      expect(stderr).toMatch(/requests \[#+\] 100 % of 12/)
    },
    TIMEOUT,
  )

  it(
    'counts exactly the tokens that it asked for',
    async () => {
      const { figures } = await bench('--requests', '4', '--prompt-tokens', '7', '--max-tokens', '6')
      const perSecond = figures.get('tokens per second')!.value!
      expect(perSecond * figures.get('time')!.value!).toBeCloseTo(24)
    },
    TIMEOUT,
  )

  it(
    'goes on after refusals and says why they came',
    async () => {
      const { stderr, figures } = await bench('--requests', '3', '--models', 'nobody')
      expect(figures.get('failed')!.value).toBe(3)
      expect(figures.get('time to first token, p50')!.value).toBeNull()
      expect(stderr).toMatch(/3 × 404: .*nobody/)
    },
    TIMEOUT,
  )

  it(
    'refuses flags and servers that it cannot use',
    async () => {
      const run = async (...flags: string[]): Promise<string> => {
        const { code, stderr } = await runCommand(['bench', ...flags])
        expect(code).toBe(2)
        return stderr
      }
      expect(await run()).toMatch(/--url/)
      expect(await run('--url', 'localhost:1')).toMatch(/--url takes an address like/)
      expect(await run('--url', 'http://127.0.0.1:59999')).toMatch(
        /no server answers at http:\/\/127\.0\.0\.1:59999: .*ECONNREFUSED/,
      )
      const at = ['--url', server.url]
      expect(await run(...at, '--requests', '0')).toMatch(/--requests takes a whole number from 1, not 0/)
      expect(await run(...at, '--zipf', 'x')).toMatch(/--zipf takes a number from 0, not x/)
      expect(await run(...at, '--prompt-tokens', '9-4')).toMatch(/--prompt-tokens takes a number of tokens/)
      expect(await run(...at, '--models', 'nothing-*')).toMatch(/--models nothing-\* fits none/)
    },
    TIMEOUT,
  )

  it(
    'measures a server that only has OpenAI’s routes, with prompts of words',
    async () => {
      const prompts: string[] = []
      const other = createServer((request, response) => {
        if (request.url === '/v1/models') {
          response.end(JSON.stringify({ object: 'list', data: [{ id: 'other' }] }))
        } else if (request.url === '/v1/completions') {
          let body = ''
          request.setEncoding('utf8').on('data', (text: string) => (body += text))
          request.on('end', () => {
            prompts.push((JSON.parse(body) as { prompt: string }).prompt)
            response.writeHead(200, { 'content-type': 'text/event-stream' })
            for (const text of ['a', 'b']) response.write(`data: ${JSON.stringify({ choices: [{ text }] })}\n\n`)
            response.end('data: [DONE]\n\n')
          })
        } else response.writeHead(404).end()
      })
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => void other.close())
      const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
      const { code, stdout, stderr } = await runCommand([
        'bench',
        '--url',
        url,
        '--requests',
        '2',
        '--prompt-tokens',
        '5',
      ])
      expect(code).toBe(0)
      expect(stderr).toContain('prompt lengths are in words')
      expect(prompts.map((prompt) => prompt.split(' ').length)).toEqual([5, 5])
      expect(stdout).toMatch(/^failed +0\.00/m)
      expect(stdout).not.toContain('adapters found')
    },
    TIMEOUT,
  )
})
