import type { AdapterWeights } from '../../src/core/branch.ts'
import type { Device, DeviceStatistics, LoadedAdapter, LogitTools, StepInput } from '../../src/device/port.ts'
import { DeviceError, PAGE_TOKENS, SPAN, SPAN_INTS } from '../../src/device/port.ts'

/** What stands in a page for one token: a number that follows from the token, its position, its mix, and everything before it. */
type Cell = number

interface SimulatedOptions {
  readonly vocab: number
  readonly kvPages: number
}

/**
 * A device without a model. The value of a token follows from its id, position, table of rotations, mix and from the values of all tokens before it,
 * read from the pages that the step names. So a wrong page table, position or mix, a page written by two, or a missing copy changes the logits. Three
 * of four choices follow from the last two tokens alone, so that answers repeat themselves and drafts are right now and then.
 */
export class SimulatedDevice implements Device {
  readonly kvPages: number
  readonly pageBytes = PAGE_TOKENS * 8
  readonly logitWidth: number
  readonly tools: LogitTools = PLAIN_TOOLS
  /** Called before every step, for tests that make it fail or look at it. */
  onStep: (input: StepInput) => void = () => {}
  readonly #cells: Cell[]
  readonly #adapters = new Map<number, AdapterWeights>()
  #nextId = 1
  #loads: Promise<void> = Promise.resolve()
  /** Adapters with these digests cannot be loaded. */
  readonly refused = new Set<string>()

  constructor({ vocab, kvPages }: SimulatedOptions) {
    this.logitWidth = vocab
    this.kvPages = kvPages
    // Never written: reading it gives numbers that fit nothing.
    this.#cells = new Array<Cell>(kvPages * PAGE_TOKENS).fill(0xdead)
  }

  async loadAdapter(weights: AdapterWeights): Promise<LoadedAdapter> {
    await (this.#loads = this.#loads.then(() => new Promise((resolve) => setImmediate(resolve))))
    if (this.refused.has(weights.digest)) throw new DeviceError('shape', `${weights.digest} does not fit`)
    const id = this.#nextId++
    this.#adapters.set(id, weights)
    return { id, bytes: weights.bytes }
  }

  dropAdapter(id: number): void {
    if (!this.#adapters.delete(id)) throw new DeviceError('handle', `adapter ${id} is not loaded`)
  }

  get adapters(): number {
    return this.#adapters.size
  }

  step(input: StepInput, logits: Float32Array): void {
    this.onStep(input)
    const values = new Float64Array(input.tokens.length)
    const written = new Set<number>()
    for (let s = 0; s < input.sequences.length / SPAN_INTS; s++) this.#evaluate(input, s, values, written)
    if (logits.length !== input.logitRows.length * this.logitWidth)
      throw new DeviceError('shape', `${logits.length} logits for ${input.logitRows.length} rows`)
    for (const [i, row] of input.logitRows.entries())
      this.#logits(values[row]!, logits.subarray(i * this.logitWidth, (i + 1) * this.logitWidth))
  }

  copyPage(from: number, to: number): void {
    for (let i = 0; i < PAGE_TOKENS; i++) this.#cells[to * PAGE_TOKENS + i] = this.#cells[from * PAGE_TOKENS + i]!
  }

  writePrefix(adapter: number, pages: Int32Array): void {
    const { digest, virtualTokens } = this.#adapters.get(adapter)!
    for (let i = 0; i < virtualTokens!.count; i++)
      this.#cells[pages[Math.floor(i / PAGE_TOKENS)]! * PAGE_TOKENS + (i % PAGE_TOKENS)] = hash(hashText(digest), i)
  }

  statistics(): DeviceStatistics {
    const adapterBytes = [...this.#adapters.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    const fixed = { kernels: 'simulated', steps: 0, tokens: 0, stepSeconds: 0, weightBytes: 0, scratchBytes: 0 }
    return { ...fixed, kvBytes: this.kvPages * this.pageBytes, adapterBytes }
  }

  async close(): Promise<void> {
    await this.#loads
  }

  #evaluate(input: StepInput, s: number, values: Float64Array, written: Set<number>): void {
    const at = (place: number): number => input.sequences[s * SPAN_INTS + place]!
    const [first, count, kvStart] = [at(SPAN.firstToken), at(SPAN.count), at(SPAN.kvStart)]
    const pages = input.pages.subarray(at(SPAN.pageStart), at(SPAN.pageStart) + at(SPAN.pageCount))
    if (pages.length * PAGE_TOKENS < kvStart + count) throw new DeviceError('pages', 'too few pages')
    const mix = this.#mixValue(input, at(SPAN.mix))
    const place = (index: number): number =>
      pages[Math.floor(index / PAGE_TOKENS)]! * PAGE_TOKENS + (index % PAGE_TOKENS)
    for (let i = 0; i < count; i++) {
      const index = kvStart + i
      const page = pages[Math.floor(index / PAGE_TOKENS)]!
      if (i === 0 || index % PAGE_TOKENS === 0) {
        if (written.has(page)) throw new DeviceError('pages', `page ${page} is written by two sequences`)
        written.add(page)
      }
      let context = mix
      for (let before = 0; before < index; before++) context = hash(context, this.#cells[place(before)]!)
      const position = index - at(SPAN.ropeOffset)
      const token = input.tokens[first + i]!
      const own = hash(hash(hash(mix, token), position), at(SPAN.ropeTable))
      const previous = index > 0 ? this.#cells[place(index - 1)]! % 8 : 0
      // Low bits say which token stands here, high ones vouch for all before it.
      this.#cells[place(index)] = hash(context, own) * 8 + (hash(0, token) % 8)
      values[first + i] =
        hash(context, own) % 4 === 0 ? hash(context, own) : hash(hash(mix, hash(0, token) % 8), previous)
    }
  }

  #mixValue(input: StepInput, mix: number): number {
    if (mix < 0) return 17
    let value = input.mixStacked[mix] === 1 ? 31 : 23
    for (let member = input.mixStart[mix]!; member < input.mixStart[mix + 1]!; member++) {
      const adapter = this.#adapters.get(input.mixAdapters[member]!)
      if (adapter === undefined) throw new DeviceError('handle', `adapter ${input.mixAdapters[member]!} is not loaded`)
      value = hash(hash(value, hashText(adapter.digest)), Math.round(input.mixScales[member]! * 1000))
    }
    return value
  }

  #logits(value: number, row: Float32Array): void {
    for (let token = 0; token < row.length; token++) row[token] = (hash(value, token) % 1000) / 100
  }
}

function hash(a: number, b: number): number {
  let x = Math.imul((a ^ (b + 0x9e3779b9)) >>> 0, 0x85ebca6b) ^ Math.floor(a / 2 ** 32)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

function hashText(text: string): number {
  let value = 7
  for (const character of text) value = hash(value, character.codePointAt(0)!)
  return value
}

/** The tools in plain words: what any device's must agree with. */
export const PLAIN_TOOLS: LogitTools = {
  argmax(row, mask) {
    let best = -1
    for (let token = 0; token < row.length; token++)
      if (allowed(mask, token) && (best < 0 || row[token]! > row[best]!)) best = token
    return best
  },
  logSumExp(row) {
    const max = row.reduce((most, value) => Math.max(most, value), -Infinity)
    return max + Math.log(row.reduce((sum, value) => sum + Math.exp(value - max), 0))
  },
  largest(row, ids, mask) {
    const tokens = [...row.keys()].filter((token) => allowed(mask, token))
    tokens.sort((a, b) => row[b]! - row[a]! || a - b)
    ids.set(tokens.slice(0, ids.length))
    return Math.min(tokens.length, ids.length)
  },
}

function allowed(mask: Uint32Array | null, token: number): boolean {
  return mask === null || ((mask[token >> 5]! >>> (token & 31)) & 1) === 1
}
