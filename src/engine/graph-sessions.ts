import { InferenceSession } from 'onnxruntime-node'
import { buildDecoder } from '../model/graph/decoder.ts'
import type { Form, GraphSpec } from '../model/graph/spec.ts'
import { BASE_SPEC, specCovers, specKey, specSize, specUnion } from '../model/graph/spec.ts'
import type { PreparedManifest, PreparedModel } from '../model/prepared.ts'
import { exactByteSums } from './byte-sums.ts'

export interface GraphSession {
  readonly spec: GraphSpec
  readonly form: Form
  readonly session: InferenceSession
}

interface Compiled extends GraphSession {
  /** When it was last chosen, in choices. */
  used: number
}

export interface GraphOptions {
  /** Threads of one call; 0 = one per physical core. */
  readonly threads: number
  /** Bytes that all graphs together may take. */
  readonly budget: number
}

/** Part of a call that is lost on a graph with more than it needs, roughly. */
const WASTE = 0.1

/** Tensors that kernels read as they are in the weights file; all others are kept once more by every graph, in the layout of its kernels. */
const LOOKED_UP = /^(embed|positions|rope(\.\d+)?\.(cos|sin))$/

/**
 * The compiled graphs, all over the same weights file. Two must be there: `base` without adapter sites, and a dense one with everything seen so
 * far. Others make steps faster while they fit into the budget: the same sites in the grouped form, and both forms with no more than the sites
 * of one kind of adapter, since a site that nobody uses still costs its nodes; those are compiled when nothing else is to be done. A step runs on
 * the smallest that covers its rows.
 */
export class GraphSessions {
  readonly base: GraphSession
  readonly #create: (spec: GraphSpec, form: Form) => Promise<GraphSession>
  readonly #budget: number
  readonly #bytesEach: number
  #compiled: Compiled[] = []
  readonly #wishes: (readonly [GraphSpec, Form])[] = []
  /** Everything seen so far. */
  #full = BASE_SPEC
  #generation = 0
  #choices = 0
  /** How long the latest graph took. */
  #compileSeconds = 0
  /** What not having a graph has cost since the latest. */
  #lostSeconds = 0

  private constructor(
    base: GraphSession,
    create: (spec: GraphSpec, form: Form) => Promise<GraphSession>,
    budget: number,
    bytesEach: number,
  ) {
    this.base = base
    this.#create = create
    this.#budget = budget
    this.#bytesEach = bytesEach
  }

  /** Changes whenever a graph came or went: sessions got before may be released. */
  get generation(): number {
    return this.#generation
  }

  get count(): number {
    return 1 + this.#compiled.length
  }

  /** Bytes of weights that the graphs hold. */
  get bytes(): number {
    return this.count * this.#bytesEach
  }

  static async open(prepared: PreparedModel, { threads, budget }: GraphOptions): Promise<GraphSessions> {
    const options = {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      // Shapes change from step to step: remembered patterns would only grow.
      enableMemPattern: false,
      ...(threads > 0 && { intraOpNumThreads: threads }),
      extra: { session: { model_external_initializers_file_folder_path: prepared.dir, ...(await exactByteSums()) } },
    } satisfies InferenceSession.SessionOptions
    const create = async (spec: GraphSpec, form: Form): Promise<GraphSession> => ({
      spec,
      form,
      session: await InferenceSession.create(buildDecoder(prepared.manifest, spec, form), options),
    })
    return new GraphSessions(await create(BASE_SPEC, 'dense'), create, budget, bytesOfGraph(prepared.manifest))
  }

  /** Compiles what an adapter needs, if no graph has it yet. Takes as long as loading the model for each graph, and holds up everybody. */
  async ensure(needed: GraphSpec): Promise<void> {
    if (specCovers(this.base.spec, needed)) return
    if (!specCovers(this.#full, needed)) {
      const full = specUnion(this.#full, needed)
      await this.#compile(full, 'dense')
      this.#full = full
      await this.#compileIfFaster(full, 'grouped')
    }
    for (const form of ['dense', 'grouped'] as const) {
      const isWished = this.#wishes.some(([spec, wished]) => wished === form && specKey(spec) === specKey(needed))
      if (!isWished && isFaster(needed, form)) this.#wishes.push([needed, form])
    }
  }

  /** Whether there may be something to compile that makes steps faster. */
  get canImprove(): boolean {
    return this.#wishes.length > 0
  }

  /** Without a quiet moment a graph is compiled once not having it has cost about as much time as that takes. */
  async improveIfDue(wastefulSeconds: number): Promise<void> {
    if (!this.canImprove) return
    this.#lostSeconds += wastefulSeconds * WASTE
    if (this.#lostSeconds >= this.#compileSeconds) await this.improve()
  }

  /** Compiles one of the graphs that make steps faster. */
  async improve(): Promise<void> {
    this.#lostSeconds = 0
    for (let wish = this.#wishes.shift(); wish !== undefined; wish = this.#wishes.shift())
      if (await this.#compileIfFaster(...wish)) return
  }

  /** The smallest compiled graph with these sites, in this form if there is one. Throws when `ensure` was not called for one of them. */
  covering(needed: GraphSpec, form: Form): GraphSession {
    if (specCovers(this.base.spec, needed)) return this.base
    const fitting = this.#compiled.filter(({ spec }) => specCovers(spec, needed))
    const [best] = fitting.sort(
      (a, b) => Number(b.form === form) - Number(a.form === form) || specSize(a.spec) - specSize(b.spec),
    )
    if (best === undefined) throw new Error(`no graph has ${specKey(needed)}`)
    best.used = ++this.#choices
    return best
  }

  async release(): Promise<void> {
    await this.base.session.release()
    for (const { session } of this.#compiled.splice(0)) await session.release()
  }

  async #compileIfFaster(spec: GraphSpec, form: Form): Promise<boolean> {
    if (!isFaster(spec, form) || this.bytes + this.#bytesEach > this.#budget) return false
    return this.#compile(spec, form)
  }

  /** Makes room among those that were not used for longest; the one that everything depends on stays until it has a successor. */
  async #compile(spec: GraphSpec, form: Form): Promise<boolean> {
    if (this.#compiled.some((graph) => graph.form === form && specKey(graph.spec) === specKey(spec))) return false
    const started = performance.now()
    const successor = { ...(await this.#create(spec, form)), used: ++this.#choices }
    this.#compileSeconds = (performance.now() - started) / 1000
    const leaving = [...this.#compiled].sort((a, b) => a.used - b.used)
    this.#compiled.push(successor)
    while (this.bytes > this.#budget && leaving.length > 0) {
      const [graph] = leaving.splice(0, 1)
      this.#compiled = this.#compiled.filter((other) => other !== graph)
      await graph!.session.release()
    }
    this.#generation++
    return true
  }
}

/** The grouped form is for sites that have one; where a spec has neither sites nor gains there is nothing to save. */
function isFaster(spec: GraphSpec, form: Form): boolean {
  return form === 'grouped' ? spec.linear.length + spec.residual.length > 0 : specSize(spec) > 0
}

function bytesOfGraph({ tensors }: PreparedManifest): number {
  const held = Object.entries(tensors).filter(([name]) => !LOOKED_UP.test(name))
  return held.reduce((sum, [, { bytes }]) => sum + bytes, 0)
}
