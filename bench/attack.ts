import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Target } from '../src/bench/completion-stream.ts'
import { streamCompletion } from '../src/bench/completion-stream.ts'
import { percentile } from '../src/bench/percentile.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { ROLES } from '../src/tenancy/roles.ts'
import { sendRandomRequests } from '../test/server/random-requests.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import type { RawSocket } from '../test/support/raw-socket.ts'
import { rawSocket } from '../test/support/raw-socket.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import { begin } from './begin.ts'
import { figure, promise } from './groups.ts'
import { completionBody } from './measure/batch.ts'
import { freshPrompt } from './measure/prompts.ts'

/**
 * What hostile connections and requests do to a server with the demo model and default settings, on loopback.
 *
 *     npm run attack -- [--connections 200] [--requests 10000] [--json FILE]
 */

begin()
const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '200' },
    requests: { type: 'string', default: '10000' },
    json: { type: 'string' },
  },
})
const connections = Number(options.connections)
const requests = Number(options.requests)
const REPOSITORY = join(import.meta.dirname, '..')
const KEY = 'key-of-everybody-else'
/** Of the demo model. */
const VOCABULARY = 2_048
const SAMPLES = 60
const EVERY_MS = 250
/** After this long no hostile connection may be left. */
const LEFT_AFTER_MS = 60_000

const head = (length: number): string =>
  `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`

/** Ways to hold a connection without asking for anything sensible. Each sends something now and then, or nothing. */
const ATTACKS: Readonly<Record<string, (socket: RawSocket) => void>> = {
  'slow bodies': (raw) => {
    raw.send(head(1_000_000))
    drip(raw.socket, () => raw.send(' '))
  },
  'slow headers': (raw) => {
    raw.send('POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n')
    drip(raw.socket, () => raw.send('x-a: b\r\n'))
  },
  'idle connections': () => undefined,
  'pipelined requests': (raw) => {
    const request = `GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${KEY}\r\n\r\n`
    drip(raw.socket, () => raw.send(request.repeat(20)))
  },
}

function drip(socket: RawSocket['socket'], say: () => void): void {
  const timer = setInterval(say, 1_000)
  socket.once('close', () => clearInterval(timer))
}

const work = scratchFolder('troupe-attack-')
const keys = join(work, 'keys.json')
writeFileSync(keys, JSON.stringify([{ tenant: 'others', key: KEY }]))
mkdirSync(join(work, 'store'))
cpSync(join(REPOSITORY, 'adapters-store'), join(work, 'store'), { recursive: true })
const flags = ['--precision', 'f32', '--threads', '2', '--cache-dir', join(REPOSITORY, '.cache/attack'), '--keys', keys]
const server = await startServerProcess(join(REPOSITORY, 'models/demo'), join(work, 'store'), flags)
const port = Number(new URL(server.url).port)
const target: Target = { url: server.url, key: KEY }

/** 95th percentile of the time to the first token of a request now and then, in milliseconds. */
async function firstTokens(): Promise<number> {
  const firsts: number[] = []
  for (let n = 0; n < SAMPLES; n++) {
    const { startedAt, arrivals } = await streamCompletion(
      target,
      completionBody('demo', freshPrompt(32, VOCABULARY), 16),
    )
    firsts.push(arrivals[0]! - startedAt)
    await sleep(EVERY_MS)
  }
  return percentile(firsts, 0.95)
}

const rows: Row[] = []
try {
  await firstTokens()
  const alone = await firstTokens()
  rows.push(figure('nobody attacks: p95 first token', alone, 'ms'))
  for (const [name, attack] of Object.entries(ATTACKS)) {
    const sockets = await Promise.all(Array.from({ length: connections }, () => rawSocket(port)))
    const began = performance.now()
    for (const socket of sockets) attack(socket)
    const beside = await firstTokens()
    await sleep(Math.max(0, LEFT_AFTER_MS - (performance.now() - began)))
    const left = sockets.filter(({ socket }) => !socket.destroyed)
    for (const { socket } of left) socket.destroy()
    rows.push(
      promise(`${connections} ${name}: others’ p95 first token / without them`, beside / alone, '×', { most: 1.2 }),
    )
    rows.push(promise(`${connections} ${name}: connections left after 60 s`, left.length, '', { most: 0 }))
  }
} finally {
  await server.kill()
}
for (const role of ROLES) {
  const { faults, leaks } = await sendRandomRequests(role, requests, 1)
  for (const what of [...faults, ...leaks].slice(0, 5)) console.error(what)
  rows.push(promise(`${requests} random requests, ${role}: answers above 499`, faults.length, '', { most: 0 }))
  rows.push(
    promise(`${requests} random requests, ${role}: foreign objects seen or changed`, leaks.length, '', { most: 0 }),
  )
}
report('npm run attack', rows, options.json)
