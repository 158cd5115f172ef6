import type { AdapterWeights } from '../core/branch.ts'
import type { ErrorCode } from '../core/errors.ts'
import { messageOf } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import type { FinishReason, GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { DeviceResidents, EngineStats } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { Device } from '../device/port.ts'
import { PAGE_TOKENS } from '../device/port.ts'
import { Constraints } from './constraint.ts'
import { HeldAdapters } from './held-adapters.ts'
import { KvPages } from './kv-pages.ts'
import { NewSequences } from './new-sequences.ts'
import { PageTables } from './page-tables.ts'
import type { Policy } from './policy/policy.ts'
import { promptBudget } from './prompt-budget.ts'
import { collectPromptLogprobs } from './prompt-logprobs.ts'
import { Sampler } from './sampler.ts'
import type { StepAdvice } from './scheduler.ts'
import { Scheduler } from './scheduler.ts'
import { Sequence, pagesFor } from './sequence.ts'
import { Speculation } from './speculation.ts'
import { StepCosts } from './step-costs.ts'
import { StepWriter, logitRowsOf } from './step-input.ts'
import type { StepPart, StepPlan } from './step-plan.ts'

export interface LoopOptions {
  readonly maxBatch: number
  readonly maxContext: number
  readonly stepTokens: number
  readonly speculation: number
  readonly policy: Policy
  /** Tokens from which on a long rope rotates by its second table; null = it has one. */
  readonly ropeLimit: number | null
}

/** What the loop has to tell. */
export interface LoopEvents {
  /** What became of a sequence. */
  readonly sequence: (id: number, event: GenerationEvent) => void
  /** A step failed; the sequences in it have got their error already. */
  readonly fault: (error: unknown) => void
}

/** Most values of the logits of one step. */
const MOST_LOGITS = 2 ** 24

/** The engine: composes scheduler, pages, adapters and device; one `tick` is one step and what follows from it. */
export class EngineLoop {
  readonly #device: Device
  readonly #options: LoopOptions
  readonly #emit: LoopEvents['sequence']
  readonly #onFault: LoopEvents['fault']
  readonly #pages: KvPages
  readonly #tables: PageTables
  readonly #scheduler: Scheduler
  readonly #held: HeldAdapters
  readonly #newSequences: NewSequences
  readonly #speculation: Speculation
  readonly #sampler: Sampler
  readonly #constraints = new Constraints()
  readonly #costs = new StepCosts()
  readonly #writer = new StepWriter()
  readonly #advice: StepAdvice
  readonly #counters = { steps: 0, stepTokens: 0, decodeRows: 0, promptTokens: 0, stepSeconds: 0, busySeconds: 0 }
  #logits = new Float32Array(0)

  constructor(info: ModelInfo, device: Device, options: LoopOptions, events: LoopEvents) {
    const ropeTable = (tokens: number): number => (tokens > (options.ropeLimit ?? Infinity) ? 1 : 0)
    const { maxBatch: rows, policy } = options
    const stepTokens = Math.max(options.stepTokens, rows)
    const logitRows = Math.max(rows, Math.floor(MOST_LOGITS / info.vocab))
    this.#device = device
    this.#options = options
    this.#emit = events.sequence
    this.#onFault = events.fault
    this.#pages = new KvPages(device.kvPages)
    this.#tables = new PageTables(this.#pages)
    this.#scheduler = new Scheduler({ rows, stepTokens, logitRows, policy, ropeTable }, this.#pages, this.#tables)
    this.#held = new HeldAdapters(device, info.vocab)
    const { fingerprint, vocab } = info
    const { kvPages, pageBytes } = device
    const limits = { fingerprint, vocab, maxContext: options.maxContext, kvPages, pageBytes }
    this.#newSequences = new NewSequences(limits, this.#held, this.#constraints)
    this.#speculation = new Speculation(options.speculation, ropeTable, this.#costs)
    this.#sampler = new Sampler(device.tools)
    this.#advice = {
      draft: (sequences, room) => this.#speculation.draft(sequences, room),
      promptTokens: (step) => promptBudget(step, stepTokens, this.#costs),
    }
  }

  get idle(): boolean {
    return this.#scheduler.idle
  }

  /** Makes a version available; see `HeldAdapters.hold`. */
  async hold(weights: AdapterWeights): Promise<number> {
    return this.#held.hold(weights)
  }

  drop(digest: string): void {
    this.#held.drop(digest)
  }

  residents(): DeviceResidents {
    return this.#held.residents()
  }

  /** One sequence per id; the first one's prompt is that of all. */
  submit(ids: readonly number[], request: GenerationRequest): void {
    const made = this.#newSequences.make(ids, request, performance.now())
    if (made instanceof Sequence) this.#scheduler.add(made)
    else for (const id of ids) this.#emit(id, { type: 'finish', reason: 'error', ...made })
  }

  cancel(id: number): void {
    const sequence = this.#scheduler.find(id)
    if (sequence !== undefined) this.#finish(sequence, 'cancelled')
  }

  /** Plans one step, runs it and deals out its tokens. */
  tick(): void {
    const began = performance.now()
    const { step, changes } = this.#scheduler.plan(this.#advice, began)
    for (const { id, submittedAt } of changes.started) this.#emit(id, { type: 'started', queueMs: began - submittedAt })
    for (const [{ id }, tokens] of changes.reused) this.#emit(id, { type: 'reused', tokens })
    if (step !== null) this.#run(step)
    this.#counters.busySeconds += (performance.now() - began) / 1000
  }

  /** Ends everything that waits or runs. */
  failAll(message: string): void {
    for (const sequence of this.#scheduler.all()) this.#fail(sequence, 'engine_failed', message)
  }

  cancelAll(): void {
    for (const sequence of this.#scheduler.all()) this.#finish(sequence, 'cancelled')
  }

  stats(): EngineStats {
    const sequences = this.#scheduler.all()
    const count = (state: Sequence['state']): number => sequences.filter((sequence) => sequence.state === state).length
    const { free, used, shared, cached } = this.#pages.counts()
    const { adapterBytes, weightBytes, scratchBytes, kvBytes } = this.#device.statistics()
    return {
      queued: count('waiting') + count('forking'),
      running: count('running'),
      paused: count('paused'),
      maxBatch: this.#options.maxBatch,
      pages: this.#pages.count,
      pageTokens: PAGE_TOKENS,
      pagesFree: free,
      pagesUsed: used,
      pagesShared: shared,
      pagesCached: cached,
      kvBytes,
      kvTokens: sequences.reduce((sum, sequence) => sum + sequence.cached, 0),
      adapters: this.#held.count,
      adapterBytes,
      adapterLoads: this.#held.counters.loads,
      adapterLoadFailures: this.#held.counters.failures,
      weightBytes,
      scratchBytes,
      prefixLookedUpTokens: this.#tables.counters.lookedUpTokens,
      prefixFoundTokens: this.#tables.counters.foundTokens,
      prefixEvictions: this.#pages.evictions,
      copiedPages: this.#tables.counters.copiedPages,
      ...this.#scheduler.counters,
      ...this.#speculation.counters,
      ...this.#constraints.stats,
      ...this.#counters,
    }
  }

  /** Throws when the parts contradict themselves or each other. */
  checkIntegrity(): void {
    this.#scheduler.checkIntegrity()
    this.#held.checkIntegrity(this.#scheduler.all().map(({ use }) => use))
  }

  /** Copies pages, writes given keys and values, evaluates, then deals out the logits. What fails ends the sequences that took part. */
  #run({ parts, copies, written }: StepPlan): void {
    const width = this.#device.logitWidth
    const rows = parts.map(logitRowsOf)
    const size = rows.reduce((sum, count) => sum + count, 0) * width
    if (this.#logits.length < size) this.#logits = new Float32Array(size)
    const logits = this.#logits.subarray(0, size)
    try {
      for (const { from, to } of copies) this.#device.copyPage(from, to)
      for (const sequence of written) this.#writePrefix(sequence)
      if (parts.length > 0) this.#evaluate(parts, logits)
    } catch (error) {
      const involved = new Set([...parts.map(({ sequence }) => sequence), ...written])
      for (const sequence of involved) this.#fail(sequence, 'engine_failed', messageOf(error))
      this.#onFault(error)
      return
    }
    let offset = 0
    for (const [i, part] of parts.entries()) {
      const own = Array.from({ length: rows[i]! }, (_, row) =>
        logits.subarray(offset + row * width, offset + (row + 1) * width),
      )
      offset += own.length * width
      this.#dealOut(part, own)
    }
  }

  #writePrefix({ use, pages, writtenLength }: Sequence): void {
    const adapter = use.members.find(({ virtual }) => virtual !== null)!
    this.#device.writePrefix(adapter.id, Int32Array.from(pages.slice(0, pagesFor(writtenLength))))
  }

  #evaluate(parts: readonly StepPart[], logits: Float32Array): void {
    const input = this.#writer.write(parts)
    const began = performance.now()
    this.#device.step(input, logits)
    const seconds = (performance.now() - began) / 1000
    this.#costs.observe(input.tokens.length, seconds)
    this.#counters.steps++
    this.#counters.stepTokens += input.tokens.length
    this.#counters.stepSeconds += seconds
  }

  /** What a part's logits mean for its sequence. */
  #dealOut(part: StepPart, rows: readonly Float32Array[]): void {
    const { sequence, count, draft } = part
    const { wantsPrompt, cached: first, decodes, request } = sequence
    this.#scheduler.complete(part)
    const served = decodes ? { prompt: draft.length, output: 1 } : { prompt: count, output: 0 }
    this.#options.policy.charge(request.tenant ?? null, served)
    if (decodes) this.#counters.decodeRows++
    else this.#counters.promptTokens += count
    try {
      if (wantsPrompt) collectPromptLogprobs(sequence, first, rows, this.#sampler)
      if (sequence.pending > 0) return
      if (sequence.known === sequence.promptEnd) this.#begin(sequence, rows.at(-1)!)
      else this.#goOn(sequence, draft, rows)
    } catch (error) {
      // Only the row of a sequence can be to blame: the step is over.
      this.#fail(sequence, error instanceof TroupeError ? error.code : 'engine_failed', messageOf(error))
    }
  }

  /** The prompt is evaluated: the first token of the sequence, and of all that share the prompt. */
  #begin(sequence: Sequence, row: Float32Array): void {
    const { promptLogprobs: logprobs } = sequence
    for (const each of [sequence, ...this.#scheduler.startForks(sequence)]) {
      if (each.request.promptLogprobs) this.#emit(each.id, { type: 'prompt', logprobs })
      if (each.request.maxTokens === 0) this.#finish(each, 'length')
      else this.#accept(each, row)
    }
  }

  /** The next token, and more for as long as the draft says what the model says. */
  #goOn(sequence: Sequence, draft: readonly number[], rows: readonly Float32Array[]): void {
    this.#speculation.counters.draftedTokens += draft.length
    for (const [i, row] of rows.slice(-1 - draft.length).entries()) {
      const token = this.#accept(sequence, row)
      if (sequence.state === 'finished') return
      if (token !== draft[i]) break
      this.#scheduler.confirm(sequence)
      this.#speculation.counters.acceptedTokens++
    }
    this.#scheduler.settle(sequence)
  }

  /** @returns the token, also when it ended the sequence */
  #accept(sequence: Sequence, row: Float32Array): number {
    const { constraint, request } = sequence
    if (constraint?.stuck) throw new Error('the grammar lets nothing follow what was written')
    const { token, logprob } = this.#sampler.sample(row, sequence)
    if (request.stopTokens.includes(token)) {
      this.#finish(sequence, 'stop')
      return token
    }
    sequence.accept(token)
    this.#emit(sequence.id, { type: 'token', token, logprob })
    if (constraint !== null && (!constraint.accept(token) || constraint.complete)) this.#finish(sequence, 'stop')
    else if (sequence.generated.length >= request.maxTokens) this.#finish(sequence, 'length')
    return token
  }

  #fail(sequence: Sequence, code: ErrorCode, message: string): void {
    this.#finish(sequence, 'error', { code, message })
  }

  #finish(sequence: Sequence, reason: FinishReason, problem?: { code: ErrorCode; message: string }): void {
    if (sequence.state === 'finished') return
    this.#scheduler.remove(sequence)
    sequence.use.release()
    this.#emit(sequence.id, { type: 'finish', reason, ...problem })
  }
}
