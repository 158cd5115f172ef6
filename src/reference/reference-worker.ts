import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../core/errors.ts'
import { stepBehind } from '../core/thread.ts'
import type { PreparedManifest } from '../model/prepared.ts'
import { MANIFEST_FILE } from '../model/prepared.ts'
import { MergedModel } from './merged-model.ts'
import type { FromReference, ReferenceOptions, ToReference } from './messages.ts'

/** The reference thread: one pass after another, behind whatever else the machine has to do. */

const port = parentPort
if (port === null) throw new Error('reference-worker runs as a thread only')

stepBehind()

const { preparedDir: dir } = workerData as ReferenceOptions
const manifest = JSON.parse(readFileSync(join(dir, MANIFEST_FILE), 'utf8')) as PreparedManifest
const model = new MergedModel({ dir, manifest })
let last: Promise<void> = Promise.resolve()

port.on('message', (message: ToReference) => {
  last = last.then(() => (message.type === 'stop' ? stop() : pass(message)))
})

async function pass({ id, tokens, adapter }: Extract<ToReference, { type: 'pass' }>): Promise<void> {
  try {
    const logprobs = await model.logprobs(tokens, adapter)
    port!.postMessage({ type: 'passed', id, logprobs } satisfies FromReference, [logprobs.buffer])
  } catch (error) {
    const message = messageOf(error)
    port!.postMessage({ type: 'failed', id, message } satisfies FromReference)
  }
}

async function stop(): Promise<void> {
  await model.close()
  port!.close()
}
