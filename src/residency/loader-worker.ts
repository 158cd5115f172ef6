import { parentPort, workerData } from 'node:worker_threads'
import { mergeAdapters } from '../adapters/merge.ts'
import { settleTokens } from '../adapters/own-tokens.ts'
import { readAdapterBeside } from '../adapters/read.ts'
import { siteNorms } from '../adapters/site-norms.ts'
import { TroupeError, messageOf } from '../core/errors.ts'
import { stepBehind } from '../core/thread.ts'
import { CheckpointWeights } from '../model/base-weights.ts'
import { Serial } from '../core/serial.ts'
import { Tokenizer } from '../text/tokenizer.ts'
import { Hasher } from './hasher.ts'
import type { FromLoader, LoaderFailure, LoaderOptions, ToLoader } from './loader-messages.ts'

const { info, modelDir } = workerData as LoaderOptions
const base = new CheckpointWeights(modelDir)
stepBehind()

const port = parentPort
if (!port) throw new Error('loader-worker runs as a thread only')

const hasher = new Hasher()
const jobs = new Serial()
const answer = (message: FromLoader): void => port.postMessage(message)

const stop = async (): Promise<void> => {
  await hasher.close()
  base.close()
  port.close()
}

port.on('message', (message: ToLoader) => {
  if (message.type === 'measure') {
    void siteNorms(message.weights).then((norms) => answer({ type: 'measured', id: message.id, norms }))
    return
  }
  void jobs.run(() => (message.type === 'stop' ? stop() : work(message)))
})

async function work(message: Extract<ToLoader, { type: 'read' | 'merge' }>): Promise<void> {
  const { type, id } = message
  try {
    if (type === 'read') {
      const { dir, memory } = message
      await settleTokens(dir, () => Tokenizer.load(modelDir))
      const result = await readAdapterBeside(dir, info, base, { hash: (fd) => hasher.hash(fd), memory })
      answer({ type: 'read', id, result })
    } else {
      mergeAdapters(message.job)
      answer({ type: 'merged', id })
    }
  } catch (error) {
    const [action, dir] = type === 'read' ? ['read', message.dir] : ['merge into', message.job.into]
    answer({ type: 'failed', id, failure: failureOf(error, action, dir) })
  }
}

function failureOf(error: unknown, action: string, dir: string): LoaderFailure {
  const message = messageOf(error)
  const fileError = isFileError(error) || (error instanceof TroupeError && isFileError(error.cause))
  // A disk that does not give a file says nothing about the file's content.
  if (fileError) return { code: 'storage_error', message: `cannot ${action} ${dir}: ${message}`, param: dir }
  if (error instanceof TroupeError) return { code: error.code, message, param: error.param }
  return { code: 'internal', message: `cannot ${action} ${dir}: ${message}`, param: dir }
}

/** Whether the system refused an operation on a file. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
