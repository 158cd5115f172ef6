import { parentPort, workerData } from 'node:worker_threads'
import { readAdapter } from '../adapters/read.ts'
import { siteNorms } from '../adapters/site-norms.ts'
import { TroupeError } from '../core/errors.ts'
import { CheckpointWeights } from '../model/base-weights.ts'
import type { FromLoader, LoaderFailure, LoaderOptions, ToLoader } from './loader-messages.ts'

const { info, modelDir } = workerData as LoaderOptions
const base = new CheckpointWeights(modelDir)
const port = parentPort
if (!port) throw new Error('loader-worker runs as a thread only')

const answer = (message: FromLoader): void => port.postMessage(message)

port.on('message', (message: ToLoader) => {
  if (message.type === 'stop') {
    base.close()
    port.close()
    return
  }
  if (message.type === 'measure') {
    void siteNorms(message.weights).then((norms) => answer({ type: 'measured', id: message.id, norms }))
    return
  }
  try {
    answer({ type: 'read', id: message.id, result: readAdapter(message.dir, info, base) })
  } catch (error) {
    answer({ type: 'failed', id: message.id, failure: failureOf(error, message.dir) })
  }
})

function failureOf(error: unknown, dir: string): LoaderFailure {
  const message = error instanceof Error ? error.message : String(error)
  const fileError = isFileError(error) || (error instanceof TroupeError && isFileError(error.cause))
  // A disk that does not give a file says nothing about the file's content.
  if (fileError) return { code: 'storage_error', message: `cannot read ${dir}: ${message}`, param: dir }
  if (error instanceof TroupeError) return { code: error.code, message, param: error.param }
  return { code: 'internal', message: `cannot read ${dir}: ${message}`, param: dir }
}

/** Whether the system refused an operation on a file. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
