import { randomBytes } from 'node:crypto'
import type { CatalogueState } from '../catalogue/state.ts'
import type { TaskDefaults, TaskRecord } from '../catalogue/task.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { PinnedMix } from '../generation/mixes.ts'
import type { BlobId } from '../store/blobs.ts'
import { blobPrefix, newBlob, readBlobFile } from '../store/blobs.ts'
import type { Journal } from '../store/journal.ts'
import type { Store } from '../store/port.ts'
import type { Origin } from '../store/record.ts'
import { Answers } from './answers.ts'
import type { EvaluationState } from './book.ts'
import { mustHave } from './book.ts'
import { scorers } from './item-scores.ts'
import type { Evaluation, EvaluationEnd, EvaluationSpec, Metric } from './record.ts'
import type { EvaluationSet } from './set.ts'
import { SET_FILE, checkMetrics, parseLines, readItems } from './set.ts'

/** Evaluations of one tenant that may wait or run at once. */
const MOST_OPEN = 16

/** What somebody wants evaluated. */
export interface EvaluationWish {
  readonly name: string
  readonly tenant: string
  readonly task: TaskRecord | null
  readonly mixes: readonly PinnedMix[]
  /** Items as they were sent, or the digest of a set that some evaluation has. */
  readonly set: { readonly items: readonly unknown[] } | { readonly digest: string }
  readonly metrics: readonly Metric[]
  readonly pattern: string | null
  readonly schema: JsonObject | null
  readonly sampling: TaskDefaults
  readonly seed: number
  readonly confidence: number
}

export interface EvaluationParts {
  readonly state: EvaluationState
  readonly catalogue: CatalogueState
  readonly journal: Journal
  readonly store: Store
  readonly base: EvaluationSpec['base']
}

/** Evaluations as the journal knows them: made, ended and deleted here. `EvaluationRuns` does the work. */
export class Evaluations {
  readonly state: EvaluationState
  readonly #parts: EvaluationParts

  constructor(parts: EvaluationParts) {
    this.state = parts.state
    this.#parts = parts
  }

  /** What a tenant may see (`*` = everything), the newest first. */
  list(tenant: string): readonly Evaluation[] {
    return [...this.state.values()].filter((one) => isOf(one, tenant)).reverse()
  }

  /** @throws TroupeError `evaluation_not_found`, also for those of other tenants */
  get(id: string, tenant: string): Evaluation {
    const found = mustHave(this.state, id)
    if (isOf(found, tenant)) return found
    throw new TroupeError('evaluation_not_found', `there is no evaluation "${id}"`)
  }

  /**
   * Stores the set and records what is to be done.
   *
   * @throws TroupeError `invalid_request` naming the item or field, `evaluation_not_found` for a digest that no evaluation of the tenant has,
   * `rate_limit_exceeded` where the tenant has too many open, `conflict`, `storage_error`
   */
  async create(wish: EvaluationWish, origin: Origin): Promise<Evaluation> {
    const { base, catalogue, journal } = this.#parts
    const open = this.list(wish.tenant).filter(({ end, spec }) => !end && spec.tenant === wish.tenant)
    if (open.length >= MOST_OPEN) {
      const message = `tenant "${wish.tenant}" has ${open.length} evaluations open, the most it may have: wait for them, or cancel some`
      throw new TroupeError('rate_limit_exceeded', message, { retryAfterSeconds: 60 })
    }
    const { set, blob } = await this.#setOf(wish)
    checkMetrics(set, wish)
    scorers(wish)
    const { task } = wish
    const spec: EvaluationSpec = {
      id: `eval-${Date.now().toString(36)}${randomBytes(4).toString('hex')}`,
      ...{ name: wish.name, tenant: wish.tenant, base },
      task: task && { name: task.name, prompt: task.prompt, system: task.system, defaults: task.defaults },
      mixes: wish.mixes.map((mix) => ({ ...mix, ...sizeOf(mix, catalogue) })),
      set: { ...blob, items: set.items.length },
      metrics: [...new Set(wish.metrics)],
      ...{ pattern: wish.pattern, schema: wish.schema, sampling: wish.sampling },
      ...{ seed: wish.seed, confidence: wish.confidence },
    }
    await journal.append({ type: 'evaluation.created', data: spec }, origin)
    return mustHave(this.state, spec.id)
  }

  /** The same once more: same versions by digest, same set, same settings. @throws TroupeError as `create` */
  async rerun(id: string, tenant: string, origin: Origin): Promise<Evaluation> {
    const { spec } = this.get(id, tenant)
    const data = { ...spec, id: `eval-${Date.now().toString(36)}${randomBytes(4).toString('hex')}` }
    await this.#parts.journal.append({ type: 'evaluation.created', data }, origin)
    return mustHave(this.state, data.id)
  }

  /** @throws TroupeError `conflict` when it has ended */
  async cancel(id: string, origin: Origin): Promise<Evaluation> {
    await this.end(id, { status: 'cancelled', reason: null, result: null }, origin)
    return mustHave(this.state, id)
  }

  async end(id: string, end: Omit<EvaluationEnd, 'at'>, origin: Origin): Promise<void> {
    await this.#parts.journal.append({ type: 'evaluation.ended', data: { id, ...end } }, origin)
  }

  /** With its answers; one that runs is stopped. @throws TroupeError `evaluation_not_found`, `storage_error` */
  async delete(id: string, origin: Origin): Promise<void> {
    await this.#parts.journal.append({ type: 'evaluation.deleted', data: { id } }, origin)
    await Answers.remove(this.#parts.store, id)
  }

  /** The set of an evaluation. @throws TroupeError `storage_error`, `digest_mismatch` */
  async readSet({ set }: EvaluationSpec): Promise<EvaluationSet> {
    const bytes = await readBlobFile(this.#parts.store, set, SET_FILE)
    if (bytes === null)
      throw new TroupeError('storage_error', `the set ${set.digest} is missing: put it back, or delete the evaluation`)
    const found = readItems(parseLines(Buffer.from(bytes).toString()))
    if (found.digest === set.digest) return found
    throw new TroupeError('digest_mismatch', `the stored set ${set.digest} was altered: its items give ${found.digest}`)
  }

  async readAnswers(id: string): Promise<Answers> {
    return Answers.read(this.#parts.store, id)
  }

  async #setOf({ set, tenant }: EvaluationWish): Promise<{ readonly set: EvaluationSet; readonly blob: BlobId }> {
    const { store } = this.#parts
    if ('digest' in set) {
      const known = this.list(tenant).find(({ spec }) => spec.set.digest === set.digest)
      if (!known) {
        const message = `no evaluation has the set ${set.digest}: send its \`items\``
        throw new TroupeError('evaluation_not_found', message, { param: 'set' })
      }
      return { set: await this.readSet(known.spec), blob: blobOf(known.spec) }
    }
    const read = readItems(set.items)
    const known = this.list(tenant).find(({ spec }) => spec.set.digest === read.digest)
    if (known) return { set: read, blob: blobOf(known.spec) }
    const blob = newBlob(read.digest, Date.now())
    await store.put(blobPrefix(blob) + SET_FILE, read.bytes)
    return { set: read, blob }
  }
}

function blobOf({ set: { digest, blob } }: EvaluationSpec): BlobId {
  return { digest, blob }
}

function isOf({ spec }: Evaluation, tenant: string): boolean {
  return tenant === '*' || spec.tenant === tenant
}

/** What was deleted meanwhile counts nothing. */
function sizeOf({ adapters }: PinnedMix, state: CatalogueState): { bytes: number; parameters: number } {
  const versions = adapters.flatMap(({ adapter, version }) => state.byNumber(adapter, version) ?? [])
  return {
    bytes: versions.reduce((sum, { bytes }) => sum + bytes, 0),
    parameters: versions.reduce((sum, { parameters }) => sum + parameters, 0),
  }
}
