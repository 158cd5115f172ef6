import type { AdapterWeights } from '../core/branch.ts'
import type { FinishReason, GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { BankResidents, EngineStats } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { AdapterFeeder } from './adapter-feeds.ts'
import type { Bank } from './bank.ts'
import { Constraints } from './constraint.ts'
import type { GraphSessions } from './graph-sessions.ts'
import type { HeldAdapters } from './held-adapters.ts'
import { checkBooks } from './integrity.ts'
import type { KvCache } from './kv-cache.ts'
import type { ModelRunner } from './model-runner.ts'
import type { PackedAdapter } from './packed-adapter.ts'
import type { PrefixReuse } from './prefix-reuse.ts'
import { collectPromptLogprobs } from './prompt-logprobs.ts'
import { sample } from './sampler.ts'
import type { Scheduler, Step } from './scheduler.ts'
import { Sequence } from './sequence.ts'
import type { Speculation } from './speculation.ts'

export interface EngineParts {
  readonly info: ModelInfo
  readonly scheduler: Scheduler
  readonly kv: KvCache
  readonly bank: Bank
  readonly graphs: GraphSessions
  readonly runner: ModelRunner
  readonly feeder: AdapterFeeder
  readonly reuse: PrefixReuse
  readonly speculation: Speculation
  readonly held: HeldAdapters
}

type Emit = (id: number, event: GenerationEvent) => void

/** The engine: composes scheduler, cache, bank and runner; one `tick` is one step and what follows from it. */
export class EngineLoop {
  readonly #parts: EngineParts
  readonly #emit: Emit
  readonly #constraints = new Constraints()
  readonly #loads = { bankLoadedBytes: 0, bankLoadMs: 0 }
  readonly #counters = { decodeSteps: 0, decodeRows: 0, prefillRuns: 0, prefillTokens: 0, busySeconds: 0 }

  constructor(parts: EngineParts, emit: Emit) {
    this.#parts = parts
    this.#emit = emit
  }

  get idle(): boolean {
    return this.#parts.scheduler.idle
  }

  /** Makes a version available. Compiles a graph when it is the first of its kind. */
  async hold(weights: AdapterWeights): Promise<void> {
    await this.#parts.held.hold(weights)
  }

  drop(digest: string): void {
    const { held, bank, scheduler } = this.#parts
    const user = scheduler.all().find(({ request }) => request.mix.some((entry) => entry.digest === digest))
    if (user !== undefined) throw new Error(`${digest} is dropped while sequence ${user.id} uses it`)
    bank.forget(digest)
    held.drop(digest)
  }

  keep(digests: readonly string[]): void {
    this.#parts.bank.keep(digests)
  }

  residents(): BankResidents {
    const { bank } = this.#parts
    const { bankLoadedBytes: loadedBytes, bankLoadMs: loadMs } = this.#loads
    return { budgetBytes: bank.budget, residents: bank.residents(), loadedBytes, loadMs }
  }

  /** Compiles a graph when no stack was as deep before. */
  async submit(id: number, request: GenerationRequest): Promise<void> {
    const { held, graphs, feeder } = this.#parts
    const prefixes = request.mix.flatMap(({ digest }) => (held.has(digest) ? (held.get(digest).prefix ?? []) : []))
    const sequence = new Sequence(id, request, performance.now(), prefixes[0])
    const problem = this.#problemWith(sequence) ?? this.#constrain(sequence)
    if (problem === null && request.stack) await graphs.ensure(feeder.specOf(request))
    if (problem === null) this.#parts.scheduler.add(sequence)
    else this.#emit(id, { type: 'finish', reason: 'error', message: problem })
  }

  cancel(id: number): void {
    const sequence = this.#parts.scheduler.find(id)
    if (sequence !== undefined) this.#finish(sequence, 'cancelled')
  }

  /** Admits what fits, then runs one step. */
  async tick(): Promise<void> {
    const started = performance.now()
    const { scheduler, graphs, runner } = this.#parts
    this.#admit()
    this.#reusePrefix()
    const step = scheduler.schedule()
    if (step !== null) await this.#run(step)
    await graphs.improveIfDue(runner.takeWastefulSeconds())
    this.#counters.busySeconds += (performance.now() - started) / 1000
  }

  /** Ends everything that waits or runs after a failed call: the state of its rows is unknown. */
  failAll(message: string): void {
    for (const sequence of this.#parts.scheduler.all()) this.#finish(sequence, 'error', message)
  }

  cancelAll(): void {
    for (const sequence of this.#parts.scheduler.all()) this.#finish(sequence, 'cancelled')
  }

  stats(): EngineStats {
    const { scheduler, kv, bank, graphs, runner, reuse, speculation } = this.#parts
    return {
      queued: scheduler.waiting,
      running: scheduler.running.length,
      slots: kv.shape.slots,
      kvTokens: scheduler.running.reduce((sum, sequence) => sum + sequence.kvLength, 0),
      kvCapacityTokens: kv.shape.slots * kv.shape.capacity,
      bankBytes: bank.bytes,
      bankBudgetBytes: bank.budget,
      bankVersions: bank.versions,
      bankLoads: bank.counters.loads,
      bankHits: bank.counters.hits,
      bankEvictions: bank.counters.evictions,
      graphs: graphs.count,
      graphBytes: graphs.bytes,
      ...reuse.stats(),
      ...speculation.counters,
      ...this.#constraints.stats,
      runSeconds: runner.runSeconds,
      ...this.#counters,
    }
  }

  /** @returns why the request's constraint cannot be held to */
  #constrain(sequence: Sequence): string | null {
    const { constraint, stopTokens } = sequence.request
    if (!constraint) return null
    try {
      sequence.constraint = this.#constraints.of(constraint, stopTokens)
      return null
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  #problemWith(sequence: Sequence): string | null {
    const { held, bank, kv, info } = this.#parts
    const { tokens, mix } = sequence.request
    if (tokens.length === 0) return 'the prompt has no tokens'
    const foreign = tokens.find((token) => token < 0 || token >= info.vocab)
    if (foreign !== undefined) return `token ${foreign} is outside the vocabulary of ${info.vocab}`
    if (sequence.capacityNeeded > kv.shape.capacity)
      return `the sequence needs ${sequence.capacityNeeded} tokens of context; a slot has ${kv.shape.capacity}`
    for (const { digest } of mix) {
      const problem = held.problemWith(digest)
      if (problem !== null) return problem
    }
    const bytes = mix.reduce((sum, { digest }) => sum + held.get(digest).bytes, 0)
    if (bytes > bank.budget)
      return `the mix needs ${bytes} bytes of the bank, which has ${bank.budget}: raise bankBytes`
    return null
  }

  #admit(): void {
    const { scheduler, bank, held } = this.#parts
    const adaptersOf = (sequence: Sequence): PackedAdapter[] =>
      sequence.request.mix.map(({ digest }) => held.get(digest))
    let admitted = false
    for (;;) {
      const sequence = scheduler.admit((next) => bank.fits(adaptersOf(next)))
      if (sequence === null) break
      admitted = true
      const { prefix } = sequence
      if (prefix !== null) this.#parts.kv.write(sequence.row, 0, prefix.count, prefix.layers)
      const loading = performance.now()
      const hot: PackedAdapter[] = []
      let cold = 0
      for (const adapter of adaptersOf(sequence)) {
        if (bank.pin(adapter)) hot.push(adapter)
        else cold += adapter.bytes
        sequence.pinned.push(adapter.digest)
      }
      const now = performance.now()
      if (cold > 0) {
        this.#loads.bankLoadedBytes += cold
        this.#loads.bankLoadMs += now - loading
      }
      this.#emit(sequence.id, {
        type: 'started',
        queueMs: loading - sequence.submittedAt,
        loadMs: now - loading,
        hot: hot.map(({ digest }) => digest),
      })
    }
    if (admitted) bank.tidy()
  }

  /** Done when a prompt's turn comes, not at admission: prompts that begin alike and arrive together share what the first one evaluates. */
  #reusePrefix(): void {
    const { scheduler, reuse } = this.#parts
    const sequence = scheduler.prefilling
    if (sequence === null || sequence.lookedUp) return
    const tokens = reuse.restore(sequence)
    if (tokens > 0) this.#emit(sequence.id, { type: 'reused', tokens })
  }

  async #run(step: Step): Promise<void> {
    if (step.type === 'prefill') await this.#prefill(step)
    else await this.#decode(step)
  }

  async #prefill(step: Extract<Step, { type: 'prefill' }>): Promise<void> {
    const { sequence, count } = step
    const { promptLogprobs, maxTokens } = sequence.request
    const first = sequence.cached
    const logits = await this.#parts.runner.prefill(sequence, count, promptLogprobs)
    this.#counters.prefillRuns++
    this.#counters.prefillTokens += count
    this.#parts.scheduler.complete(step)
    if (promptLogprobs) collectPromptLogprobs(sequence, first, count, logits)
    if (!sequence.prefilled) return
    this.#parts.reuse.keep(sequence)
    if (promptLogprobs) this.#emit(sequence.id, { type: 'prompt', logprobs: sequence.promptLogprobs })
    const { vocab } = this.#parts.info
    if (maxTokens === 0) this.#finish(sequence, 'length')
    else this.#accept(sequence, logits.subarray(logits.length - vocab))
  }

  async #decode(step: Extract<Step, { type: 'decode' }>): Promise<void> {
    const { sequences } = step
    const { runner, speculation, scheduler, info } = this.#parts
    const drafts = speculation.draft(sequences)
    if (drafts !== null) {
      for (const [i, sequence] of sequences.entries()) await this.#verify(sequence, drafts[i]!)
      return
    }
    const logits = await this.#timed(sequences.length, () => runner.decode(sequences))
    this.#counters.decodeRows += sequences.length
    scheduler.complete(step)
    for (const [row, sequence] of sequences.entries())
      if (!sequence.finished) this.#accept(sequence, logits.subarray(row * info.vocab, (row + 1) * info.vocab))
  }

  /** A decode step of one sequence that goes on for as long as the draft says what the model says. */
  async #verify(sequence: Sequence, draft: readonly number[]): Promise<void> {
    const { runner, speculation, scheduler, info } = this.#parts
    const logits = await this.#timed(1 + draft.length, () => runner.verify(sequence, draft))
    this.#counters.decodeRows++
    scheduler.complete({ type: 'decode', sequences: [sequence] })
    let accepted = 0
    for (;;) {
      this.#accept(sequence, logits.subarray(accepted * info.vocab, (accepted + 1) * info.vocab))
      if (sequence.finished || sequence.lastToken !== draft[accepted]) break
      // It was fed already: its keys and values are in the cache. Those of rejected tokens will be overwritten.
      sequence.cached++
      accepted++
    }
    speculation.counters.draftedTokens += draft.length
    speculation.counters.acceptedTokens += accepted
  }

  async #timed(tokens: number, call: () => Promise<Float32Array>): Promise<Float32Array> {
    const { runner, speculation } = this.#parts
    const before = runner.runSeconds
    const logits = await call()
    speculation.observe(tokens, runner.runSeconds - before)
    this.#counters.decodeSteps++
    return logits
  }

  #accept(sequence: Sequence, logits: Float32Array): void {
    const { constraint, request } = sequence
    if (constraint?.stuck) {
      this.#finish(sequence, 'error', 'the grammar lets nothing follow what was written')
      return
    }
    const { token, logprob } = sample(logits, sequence)
    if (request.stopTokens.includes(token)) {
      this.#finish(sequence, 'stop')
      return
    }
    sequence.accept(token)
    this.#emit(sequence.id, { type: 'token', token, logprob })
    const ended = constraint !== null && (!constraint.accept(token) || constraint.complete)
    if (ended) this.#finish(sequence, 'stop')
    else if (sequence.generated.length >= request.maxTokens) this.#finish(sequence, 'length')
  }

  #finish(sequence: Sequence, reason: FinishReason, message?: string): void {
    const { scheduler, kv, bank } = this.#parts
    if (reason === 'stop' || reason === 'length') this.#parts.reuse.keep(sequence)
    for (const move of scheduler.remove(sequence)) kv.move(move)
    sequence.finished = true
    for (const digest of sequence.pinned.splice(0)) bank.unpin(digest)
    this.#emit(sequence.id, { type: 'finish', reason, ...(message !== undefined && { message }) })
  }

  /** Throws when the parts contradict themselves or each other. */
  checkIntegrity(): void {
    const { scheduler, bank, held } = this.#parts
    checkBooks({ scheduler, bank, adapters: held })
  }
}
