import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '../test/support/client.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import type { ServerProcess } from '../test/support/server-process.ts'
import { LlamaPeer } from './peers/llama-peer.ts'
import type { AdapterKind } from './synthetic/adapters.ts'
import { adapterName, writeAdapter } from './synthetic/adapters.ts'
import { writeModel } from './synthetic/model.ts'
import type { Shapes } from './synthetic/shapes.ts'

/** Raised when the generator gives other bytes for the same names, or stores get another format. */
const GENERATION = 2
/** Name of the base model: its folder's. */
export const BASE = 'model'
/** Troupe's and llama.cpp's threads. */
export const THREADS = 2
export const ROWS = 16
/** How many times longer answers are where the time counts in which all rows decode: prompts of so many rows begin one after the other. */
export const DECODED = 4

/** Precisions with a table: each has an equal of llama.cpp's beside it. */
export const BENCH_PRECISIONS = ['int4', 'int8', 'bf16'] as const
export type BenchPrecision = (typeof BENCH_PRECISIONS)[number]

export interface BenchOptions {
  readonly dir: string
  /** Of the base model, Troupe's and node-llama-cpp's. */
  readonly precision: BenchPrecision
  readonly rounds: number
  readonly warmUps: number
  readonly promptTokens: number
  readonly newTokens: number
  readonly quick: boolean
  /** A checkout of an earlier commit, built, to alternate with; null = that comparison is left out. */
  readonly earlier: string | null
  /** Folder of a published checkpoint of Llama's family, in one file; null = that comparison is left out. */
  readonly published: string | null
  /** Of the large base model. */
  readonly large: Shapes
  /** A Python with torch, transformers and peft; null = that peer is left out. */
  readonly peftPython: string | null
}

/** What the rows share: the synthetic model and adapters on disk, and one server with room for everything. */
export class BenchContext {
  readonly options: BenchOptions
  readonly #folder: string
  readonly #processes: ServerProcess[] = []
  #shared: Promise<ServerProcess> | null = null
  #peer: Promise<LlamaPeer> | null = null

  constructor(options: BenchOptions) {
    this.options = options
    this.#folder = join(options.dir, `generation-${GENERATION}`)
  }

  path(...parts: string[]): string {
    return join(this.#folder, ...parts)
  }

  /** Folder of the synthetic base model, written when it is missing. */
  model(): string {
    const dir = this.path(BASE)
    writeModel(dir)
    return dir
  }

  /** Folder of one adapter's files, written when they are missing. */
  adapter(kind: AdapterKind, index: number): string {
    return writeAdapter(this.path('adapters'), kind, index)
  }

  /** The server most rows are measured on. */
  async server(): Promise<ServerProcess> {
    // 64 adapters are 1.2 GB in f32.
    this.#shared ??= this.start(this.path('store'), ['--memory-bytes', '3GiB'])
    return this.#shared
  }

  /** node-llama-cpp with the same model and the rank-16 adapters. Rejects with the reason where it cannot be had. */
  async llama(): Promise<LlamaPeer> {
    const adapter = (index: number): string => this.adapter('rank-16', index)
    const folders = { model: this.model(), adapter, python: join(this.options.dir, 'python'), gguf: this.path('gguf') }
    const { precision } = this.options
    const sizes = { kind: 'rank-16', adapters: ROWS, threads: THREADS, contextSize: 1024, precision } as const
    this.#peer ??= LlamaPeer.open(folders, sizes)
    return this.#peer
  }

  /** Starts another server on the synthetic model; it ends with the benchmark at the latest. */
  async start(store: string, flags: readonly string[]): Promise<ServerProcess> {
    return this.startOn(this.model(), this.options.precision, store, ['--max-context', '2048', ...flags])
  }

  /** Starts a server on another model, called `BASE` too; it ends with the benchmark at the latest. */
  async startOn(
    model: string,
    precision: BenchPrecision,
    store: string,
    flags: readonly string[],
  ): Promise<ServerProcess> {
    const fixed = ['--name', BASE, '--precision', precision, '--threads', `${THREADS}`, '--kv-bytes', '1GiB']
    const cache = ['--cache-dir', this.path('prepared')]
    const server = await startServerProcess(model, store, [...fixed, ...cache, ...flags])
    this.#processes.push(server)
    return server
  }

  /** node-llama-cpp on another model, without adapters, for the caller to close. Rejects as `llama`. */
  async llamaOn(model: string, precision: BenchPrecision, gguf: string): Promise<LlamaPeer> {
    const adapter = (): never => {
      throw new Error('this model is measured without adapters')
    }
    const folders = { model, adapter, python: join(this.options.dir, 'python'), gguf: this.path(gguf) }
    const sizes = { kind: 'rank-16', adapters: 0, threads: THREADS, contextSize: 1024, precision } as const
    return LlamaPeer.open(folders, sizes)
  }

  /** Names of `count` adapters of a family; those that the server's store lacks are uploaded. */
  async adapters(server: ServerProcess, kind: AdapterKind, count: number): Promise<string[]> {
    const client = new Client(server.url)
    const names = Array.from({ length: count }, (_, index) => adapterName(kind, index))
    for (const [index, name] of names.entries()) {
      if ((await client.get(`/v1/adapters/${name}`)).status === 200) continue
      const { status, body } = await client.uploadFolder(name, this.adapter(kind, index))
      if (status !== 201) throw new Error(`${name} was refused: ${JSON.stringify(body)}`)
    }
    return names
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((server) => server.kill()))
    const peer = await this.#peer?.catch(() => null)
    await peer?.close()
    rmSync(this.path('scratch'), { recursive: true, force: true })
  }
}
