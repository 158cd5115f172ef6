import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../core/errors.ts'
import type { GenerationEvent } from '../core/generation.ts'
import type { Answers, EngineOptions, FromEngine, Question, ToEngine } from '../core/messages.ts'
import { openCpuDevice } from '../device/cpu/device.ts'
import type { Device } from '../device/port.ts'
import { DeviceError, PAGE_TOKENS } from '../device/port.ts'
import type { PreparedManifest } from '../model/prepared.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from '../model/prepared.ts'
import { EngineLoop } from './engine-loop.ts'
import { FairShare } from './policy/fair-share.ts'

/** The engine thread: messages in, ticks, one message of events out per tick. A step blocks this thread and no other. */

const port = parentPort
if (port === null) throw new Error('this file is the entry of a worker thread')
const send = (message: FromEngine): void => port.postMessage(message)

/** Messages are handled between ticks, in order: a tick never sees them half-way. */
const inbox: ToEngine[] = []
let wake: (() => void) | null = null
port.on('message', (message: ToEngine) => {
  inbox.push(message)
  wake?.()
})

await main(workerData as EngineOptions)

async function main(options: EngineOptions): Promise<void> {
  let events: { id: number; event: GenerationEvent }[] = []
  let opened: { loop: EngineLoop; device: Device }
  try {
    opened = open(options, (id, event) => events.push({ id, event }))
  } catch (error) {
    send({ type: 'failed', message: messageOf(error), isDevice: error instanceof DeviceError })
    port!.close()
    return
  }
  const { loop, device } = opened
  for (let stopping = false; !stopping;) {
    if (inbox.length === 0 && loop.idle) await new Promise<void>((resolve) => (wake = resolve))
    wake = null
    try {
      while (inbox.length > 0 && !stopping) stopping = handle(inbox.shift()!, loop)
      if (!stopping) loop.tick()
    } catch (error) {
      // Nobody knows what the books are worth now: all that runs ends, and what begins next begins from nothing.
      send({ type: 'fault', message: messageOf(error) })
      loop.failAll(messageOf(error))
    }
    if (events.length > 0) send({ type: 'events', events })
    events = []
    // Messages and loads of adapters come in between two steps.
    await turn()
  }
  await device.close()
  send({ type: 'stopped' })
  port!.close()
}

/** @returns whether the thread is to end */
function handle(message: ToEngine, loop: EngineLoop): boolean {
  switch (message.type) {
    case 'hold': {
      const { id } = message
      loop.hold(message.weights).then(
        (bytes) => send({ type: 'held', id, bytes }),
        (error: unknown) => send({ type: 'refused', id, message: messageOf(error) }),
      )
      return false
    }
    case 'drop':
      loop.drop(message.digest)
      return false
    case 'submit':
      loop.submit(message.ids, message.request)
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

function open(
  options: EngineOptions,
  emit: (id: number, event: GenerationEvent) => void,
): { loop: EngineLoop; device: Device } {
  const { preparedDir, kvFormat, kvPages, adapterFormat, threads } = options
  const { info, architecture, tensors } = JSON.parse(
    readFileSync(join(preparedDir, MANIFEST_FILE), 'utf8'),
  ) as PreparedManifest
  const device = openCpuDevice(
    { architecture, tensors, weights: join(preparedDir, WEIGHTS_FILE) },
    { threads, kvFormat, kvPages, adapterFormat, spinning: true },
  )
  const { maxBatch, maxContext, stepTokens, speculation } = options
  const ropeLimit = architecture.longRope?.length ?? null
  const loop = new EngineLoop(
    info,
    device,
    { maxBatch, maxContext, stepTokens, speculation, ropeLimit, policy: new FairShare() },
    { sequence: emit, fault: (error) => send({ type: 'fault', message: messageOf(error) }) },
  )
  const { kernels, kvBytes } = device.statistics()
  send({ type: 'ready', info, device: { kernels, kvBytes, kvTokens: kvPages * PAGE_TOKENS } })
  return { loop, device }
}
