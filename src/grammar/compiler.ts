import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { LRUCache } from 'lru-cache'
import type { VocabularyData } from '../core/constraint.ts'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import { canonicalJson } from '../core/json.ts'
import { threadEntry } from '../core/thread.ts'
import type { GrammarSpec } from './grammar.ts'
import type { GrammarLimits } from './limits.ts'
import { GRAMMAR_LIMITS } from './limits.ts'

/** The bytes of a model's tokens, one after the other; none for tokens that are no text. */
export interface TokenBytes {
  readonly text: Uint8Array
  /** Token `i` is `text[starts[i]] … text[starts[i + 1] - 1]`. */
  readonly starts: Int32Array
  /** Width of the model's logits. */
  readonly size: number
}

export interface ToCompiler {
  readonly id: number
  readonly spec: GrammarSpec
  readonly limits: GrammarLimits
}

export type FromCompiler =
  | { readonly type: 'vocabulary'; readonly vocabulary: VocabularyData }
  | { readonly type: 'compiled'; readonly id: number; readonly grammar: Uint8Array; readonly milliseconds: number }
  | {
      readonly type: 'refused'
      readonly id: number
      readonly code: ErrorCode
      readonly message: string
      readonly param: string | undefined
    }

export interface Compiled {
  readonly digest: string
  readonly grammar: Uint8Array
  readonly vocabulary: VocabularyData
}

interface Waiting {
  readonly resolve: (grammar: Uint8Array) => void
  readonly reject: (error: Error) => void
}

/** Compilations that may wait at once, and bytes of compiled grammars that are kept. */
const MAX_WAITING = 64
const CACHE_BYTES = 64 * 2 ** 20
/** Over the time that a compilation allows itself: it is stuck where it does not look at the clock. */
const GRACE_MS = 3_000

/** Compiles grammars in a thread of its own and keeps them, by tenant: what one sent is no other's to find. */
export class GrammarCompiler {
  readonly counters = { compiled: 0, hits: 0, refused: 0, seconds: 0 }
  readonly #tokens: TokenBytes
  readonly #limits: GrammarLimits
  readonly #waiting = new Map<number, Waiting>()
  readonly #cache = new LRUCache<string, Promise<Uint8Array>>({
    maxSize: CACHE_BYTES,
    // Until its size is known, a grammar counts little.
    sizeCalculation: () => 4096,
  })
  #worker: Worker | null = null
  #vocabulary: Promise<VocabularyData> | null = null
  #nextId = 1
  #closed = false

  constructor(tokens: TokenBytes, limits: GrammarLimits = GRAMMAR_LIMITS) {
    this.#tokens = tokens
    this.#limits = limits
  }

  /**
   * @throws TroupeError `invalid_request`, `unsupported_schema` and `schema_too_complex` with the place in the specification as `param`;
   *   `overloaded` when too many wait
   */
  async compile(spec: GrammarSpec, tenant: string): Promise<Compiled> {
    const digest = createHash('sha256')
      .update(`${tenant}\n${textOf(spec)}`)
      .digest('hex')
    let grammar = this.#cache.get(digest)
    if (grammar) this.counters.hits++
    else {
      grammar = this.#ask(spec)
      this.#cache.set(digest, grammar)
      grammar.then(
        ({ length }) => this.#cache.set(digest, grammar, { size: length + 4096 }),
        () => this.#cache.delete(digest),
      )
    }
    return { digest, grammar: await grammar, vocabulary: await this.start() }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#fail(new TroupeError('not_ready', 'the server is stopping'))
    await this.#worker?.terminate()
  }

  async #ask(spec: GrammarSpec): Promise<Uint8Array> {
    if (this.#closed) throw new TroupeError('not_ready', 'the server is stopping')
    if (this.#waiting.size >= MAX_WAITING)
      throw new TroupeError('overloaded', `${MAX_WAITING} schemas wait for compilation: try again`, {
        retryAfterSeconds: 1,
      })
    const id = this.#nextId++
    const answer = new Promise<Uint8Array>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    const limit = (this.#limits.milliseconds + GRACE_MS) * this.#waiting.size
    const timer = setTimeout(() => this.#restart(), limit)
    timer.unref()
    void this.start().catch(() => undefined)
    this.#worker!.postMessage({ id, spec, limits: this.#limits } satisfies ToCompiler)
    return answer.finally(() => clearTimeout(timer))
  }

  /** Starts the thread, which sorts the vocabulary first. The first compilation does so otherwise. */
  start(): Promise<VocabularyData> {
    if (this.#vocabulary) return this.#vocabulary
    const worker = new Worker(threadEntry(import.meta.url, 'compile-worker'), {
      workerData: this.#tokens,
      name: 'troupe-grammars',
      resourceLimits: { maxOldGenerationSizeMb: 1024 },
    })
    worker.unref()
    this.#worker = worker
    this.#vocabulary = new Promise<VocabularyData>((resolve, reject) => {
      worker.on('message', (message: FromCompiler) => {
        if (message.type === 'vocabulary') resolve(message.vocabulary)
        else this.#onAnswer(message)
      })
      worker.once('error', (error) => {
        reject(error)
        if (worker === this.#worker && !this.#closed) this.#restart()
      })
    })
    // Who compiles gets the reason; nobody else waits for it.
    this.#vocabulary.catch(() => undefined)
    return this.#vocabulary
  }

  #onAnswer(message: Exclude<FromCompiler, { type: 'vocabulary' }>): void {
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if (message.type === 'compiled') {
      this.counters.compiled++
      this.counters.seconds += message.milliseconds / 1000
      waiting?.resolve(message.grammar)
      return
    }
    this.counters.refused++
    waiting?.reject(new TroupeError(message.code, message.message, { param: message.param }))
  }

  /** Out of memory or stuck: whoever waits is told, and others go on with a new thread. */
  #restart(): void {
    this.counters.refused += this.#waiting.size
    void this.#worker?.terminate()
    this.#worker = null
    this.#vocabulary = null
    this.#fail(
      new TroupeError('schema_too_complex', 'the schema takes too much time or memory to compile: simplify it'),
    )
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/** Property order counts where it is kept. */
function textOf(spec: GrammarSpec): string {
  return spec.type === 'schema' && !spec.ordered ? canonicalJson(spec) : JSON.stringify(spec)
}
