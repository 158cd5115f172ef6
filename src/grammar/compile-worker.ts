import { parentPort, workerData } from 'node:worker_threads'
import { TroupeError } from '../core/errors.ts'
import { stepBehind } from '../core/thread.ts'
import type { FromCompiler, ToCompiler, TokenBytes } from './compiler.ts'
import { compileGrammar } from './grammar.ts'
import { vocabularyOf } from './vocabulary.ts'

/** The thread that compiles grammars: a hostile one holds up nobody but others that wait for theirs. */

const port = parentPort
if (port === null) throw new Error('this file is the entry of a worker thread')
const send = (message: FromCompiler): void => port.postMessage(message)

stepBehind()
const { text, starts, size } = workerData as TokenBytes
const tokens = Array.from({ length: starts.length - 1 }, (_, id) =>
  starts[id] === starts[id + 1] ? null : text.subarray(starts[id], starts[id + 1]),
)
send({ type: 'vocabulary', vocabulary: vocabularyOf(tokens, size) })

port.on('message', ({ id, spec, limits }: ToCompiler) => {
  const started = performance.now()
  try {
    const grammar = compileGrammar(spec, limits)
    send({ type: 'compiled', id, grammar, milliseconds: performance.now() - started })
  } catch (error) {
    // A schema nested too deeply for the stack is one that is too complex.
    const deep = error instanceof RangeError
    const known = error instanceof TroupeError
    const message = deep
      ? 'the schema is nested too deeply: make it flatter'
      : error instanceof Error
        ? error.message
        : String(error)
    const code = known ? error.code : deep ? 'schema_too_complex' : 'internal'
    send({ type: 'refused', id, code, message, param: known ? error.param : undefined })
  }
})
