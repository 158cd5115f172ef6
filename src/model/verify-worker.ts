import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../core/errors.ts'
import { stepBehind } from '../core/thread.ts'
import type { VerifiedModel } from './verify-weights.ts'
import { verifyWeights } from './verify-weights.ts'

/** A thread that compares the prepared weights with their digests, tells how far it is, and ends. */

/** What it tells. */
export type FromVerifier =
  | { readonly type: 'progress'; readonly bytes: number }
  /** Names of the tensors that differ. */
  | { readonly type: 'verified'; readonly damaged: readonly string[] }
  /** Whether they differ could not be found out. */
  | { readonly type: 'failed'; readonly message: string }

const port = parentPort
if (port === null) throw new Error('this file is the entry of a worker thread')
const send = (message: FromVerifier): void => port.postMessage(message)

stepBehind()
try {
  const damaged = await verifyWeights(workerData as VerifiedModel, (bytes) => send({ type: 'progress', bytes }))
  send({ type: 'verified', damaged })
} catch (error) {
  send({ type: 'failed', message: messageOf(error) })
}
