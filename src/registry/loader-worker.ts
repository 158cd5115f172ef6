import { parentPort, workerData } from 'node:worker_threads'
import { readAdapter } from '../adapters/read.ts'
import { TroupeError } from '../core/errors.ts'
import type { FromLoader, LoaderFailure, LoaderOptions, ToLoader } from './loader-messages.ts'

const { info } = workerData as LoaderOptions
const port = parentPort
if (!port) throw new Error('loader-worker runs as a thread only')

const answer = (message: FromLoader): void => port.postMessage(message)

port.on('message', (message: ToLoader) => {
  if (message.type === 'stop') {
    port.close()
    return
  }
  try {
    answer({ type: 'read', id: message.id, result: readAdapter(message.dir, info) })
  } catch (error) {
    answer({ type: 'failed', id: message.id, failure: failureOf(error, message.dir) })
  }
})

function failureOf(error: unknown, dir: string): LoaderFailure {
  if (error instanceof TroupeError) return { code: error.code, message: error.message, param: error.param }
  const message = error instanceof Error ? error.message : String(error)
  const isFileError = error instanceof Error && 'syscall' in error
  return { code: isFileError ? 'storage_error' : 'internal', message: `cannot read ${dir}: ${message}`, param: dir }
}
