import { InferenceSession } from 'onnxruntime-node'
import { LINEAR_KINDS } from '../core/branch.ts'
import { hasSite } from '../core/model-info.ts'
import { buildDecoder } from '../model/graph/decoder.ts'
import type { Form, GraphSpec } from '../model/graph/spec.ts'
import { BASE_SPEC, specCovers, specFor, specKey, specUnion } from '../model/graph/spec.ts'
import type { PreparedModel } from '../model/prepared.ts'

export interface GraphSession {
  readonly spec: GraphSpec
  readonly form: Form
  readonly session: InferenceSession
}

/** The same sites in both forms. */
type Pair = Readonly<Record<Form, GraphSession>>

/**
 * The compiled graphs, all over the same weights file: `base` without adapter sites, `linear` with all linear sites for plain LoRA, and one
 * `full` pair with everything else seen so far. A step runs on the smallest that covers its rows, so sites nobody uses cost nothing.
 */
export class GraphSessions {
  readonly base: GraphSession
  readonly #linearSpec: GraphSpec
  readonly #create: (spec: GraphSpec, form: Form) => Promise<GraphSession>
  #linear: Pair | null = null
  #full: Pair | null = null
  #generation = 0

  private constructor(
    base: GraphSession,
    linearSpec: GraphSpec,
    create: (spec: GraphSpec, form: Form) => Promise<GraphSession>,
  ) {
    this.base = base
    this.#linearSpec = linearSpec
    this.#create = create
  }

  /** Changes whenever a graph was replaced: sessions got before are released. */
  get generation(): number {
    return this.#generation
  }

  /** @param threads threads of one call; 0 = one per physical core */
  static async open(prepared: PreparedModel, threads: number): Promise<GraphSessions> {
    const options = {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      // Shapes change from step to step: remembered patterns would only grow.
      enableMemPattern: false,
      ...(threads > 0 && { intraOpNumThreads: threads }),
      extra: { session: { model_external_initializers_file_folder_path: prepared.dir } },
    } satisfies InferenceSession.SessionOptions
    const create = async (spec: GraphSpec, form: Form): Promise<GraphSession> => ({
      spec,
      form,
      session: await InferenceSession.create(buildDecoder(prepared.manifest, spec, form), options),
    })
    const { info } = prepared.manifest
    const linear = LINEAR_KINDS.filter((kind) => hasSite(info, kind))
    return new GraphSessions(await create(BASE_SPEC, 'dense'), specFor(linear), create)
  }

  /** Compiles what an adapter needs, if no graph has it yet. Takes as long as loading the model: done when a version arrives, not per request. */
  async ensure(needed: GraphSpec): Promise<void> {
    if (specCovers(this.base.spec, needed)) return
    if (specCovers(this.#linearSpec, needed)) {
      this.#linear ??= await this.#createPair(this.#linearSpec)
      return
    }
    if (this.#full !== null && specCovers(this.#full.dense.spec, needed)) return
    const former = this.#full
    // Rows of all methods share steps: the full graph has the linear sites too.
    this.#full = await this.#createPair(specUnion(former?.dense.spec ?? this.#linearSpec, needed))
    this.#generation++
    await release(former)
  }

  /** The smallest compiled graph with these sites. Throws when `ensure` was not called for one of them. */
  covering(needed: GraphSpec, form: Form): GraphSession {
    if (specCovers(this.base.spec, needed)) return this.base
    const found = [this.#linear, this.#full].find((pair) => pair && specCovers(pair.dense.spec, needed))
    if (!found) throw new Error(`no graph has ${specKey(needed)}`)
    return found[form]
  }

  async release(): Promise<void> {
    await this.base.session.release()
    for (const pair of [this.#linear, this.#full]) await release(pair)
  }

  async #createPair(spec: GraphSpec): Promise<Pair> {
    return { dense: await this.#create(spec, 'dense'), grouped: await this.#create(spec, 'grouped') }
  }
}

async function release(pair: Pair | null): Promise<void> {
  await pair?.dense.session.release()
  await pair?.grouped.session.release()
}
