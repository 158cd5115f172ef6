import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import type { GenerationEvent } from '../core/generation.ts'
import type { Answers, EngineOptions, FromEngine, Question, ToEngine } from '../core/messages.ts'
import type { PreparedManifest } from '../model/prepared.ts'
import { MANIFEST_FILE } from '../model/prepared.ts'
import { AdapterFeeder } from './adapter-feeds.ts'
import { Bank } from './bank.ts'
import { EngineLoop } from './engine-loop.ts'
import { GraphSessions } from './graph-sessions.ts'
import { HeldAdapters } from './held-adapters.ts'
import { KvCache } from './kv-cache.ts'
import { ModelRunner, testInPlace } from './model-runner.ts'
import { Positions } from './positions.ts'
import type { PackedAdapter } from './packed-adapter.ts'
import { PrefixCache } from './prefix-cache.ts'
import { PrefixReuse } from './prefix-reuse.ts'
import { Scheduler } from './scheduler.ts'
import { Speculation } from './speculation.ts'

/** The engine thread: messages in, ticks, one message of events out per tick. `run()` blocks this thread and no other. */

const port = parentPort
if (port === null) throw new Error('this file is the entry of a worker thread')
const send = (message: FromEngine): void => port.postMessage(message)

/** How long nothing must have happened before graphs are compiled that nobody waits for. */
const QUIET_MS = 250

/** Messages are handled between ticks, in order: a tick never sees them half-way. */
const inbox: ToEngine[] = []
let wake: (() => void) | null = null
port.on('message', (message: ToEngine) => {
  inbox.push(message)
  wake?.()
})

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

await main(workerData as EngineOptions)

async function main(options: EngineOptions): Promise<void> {
  let events: { id: number; event: GenerationEvent }[] = []
  let engine: { loop: EngineLoop; graphs: GraphSessions }
  try {
    engine = await open(options, (id, event) => events.push({ id, event }))
  } catch (error) {
    send({ type: 'failed', message: messageOf(error) })
    port!.close()
    return
  }
  const { loop, graphs } = engine
  const flush = (): void => {
    if (events.length === 0) return
    send({ type: 'events', events })
    events = []
  }
  for (let stopping = false; !stopping; flush()) {
    try {
      if (inbox.length === 0 && loop.idle) await rest(graphs)
      while (inbox.length > 0 && !stopping) stopping = await handle(inbox.shift()!, loop)
      if (!stopping) await loop.tick()
    } catch (error) {
      send({ type: 'fault', message: messageOf(error) })
      loop.failAll(messageOf(error))
    }
  }
  await graphs.release()
  send({ type: 'stopped' })
  port!.close()
}

/** Waits for a message; where none comes for a while, that is the time for what would hold up requests. */
async function rest(graphs: GraphSessions): Promise<void> {
  const message = new Promise<void>((resolve) => (wake = resolve))
  if (graphs.canImprove) {
    const stop = new AbortController()
    const quiet = setTimeout(QUIET_MS, null, { signal: stop.signal }).catch(() => undefined)
    await Promise.race([message, quiet])
    stop.abort()
    if (inbox.length === 0) await graphs.improve()
  } else await message
  wake = null
}

/** @returns whether the thread is to end */
async function handle(message: ToEngine, loop: EngineLoop): Promise<boolean> {
  switch (message.type) {
    case 'hold':
      await loop.hold(message.weights)
      return false
    case 'drop':
      loop.drop(message.digest)
      return false
    case 'keep':
      loop.keep(message.digests)
      return false
    case 'submit':
      await loop.submit(message.id, message.request)
      return false
    case 'cancel':
      loop.cancel(message.id)
      return false
    case 'ask':
      send({ type: 'answer', id: message.id, answer: answerTo(message.question, loop) })
      return false
    case 'stop':
      loop.cancelAll()
      return true
  }
}

function answerTo(question: Question, loop: EngineLoop): Answers[Question] {
  switch (question) {
    case 'stats':
      return loop.stats()
    case 'residents':
      return loop.residents()
    case 'contradiction':
      return contradictionIn(loop)
  }
}

function contradictionIn(loop: EngineLoop): string | null {
  try {
    loop.checkIntegrity()
    return null
  } catch (error) {
    return messageOf(error)
  }
}

async function open(
  options: EngineOptions,
  emit: (id: number, event: GenerationEvent) => void,
): Promise<{ loop: EngineLoop; graphs: GraphSessions }> {
  const dir = options.preparedDir
  const manifest = JSON.parse(readFileSync(join(dir, MANIFEST_FILE), 'utf8')) as PreparedManifest
  const { info, architecture } = manifest
  const positions = new Positions(architecture)
  const graphs = await GraphSessions.open({ dir, manifest }, { threads: options.threads, budget: options.graphBytes })
  const inPlace = await testInPlace(graphs.base, info, positions)
  const kv = new KvCache({ ...info, slots: options.maxBatch, capacity: options.maxContext })
  const bank = new Bank(info, options.bankBytes)
  const adapters = new Map<string, PackedAdapter>()
  const feeder = new AdapterFeeder(info, bank, graphs, adapters)
  const runner = new ModelRunner({ info, kv, feeder, positions, inPlace, chunk: options.prefillChunk })
  const scheduler = new Scheduler({ slots: options.maxBatch, prefillChunk: options.prefillChunk })
  const reuse = new PrefixReuse(new PrefixCache(info.fingerprint, info, options.prefixCacheBytes), kv, positions)
  const speculation = new Speculation(options.speculation, positions)
  send({ type: 'ready', info, inPlace })
  const held = new HeldAdapters({ info, graphs, runner, adapters })
  const parts = { info, scheduler, kv, bank, graphs, runner, feeder, held, reuse, speculation }
  return { loop: new EngineLoop(parts, emit), graphs }
}
