import type { VirtualTokens } from '../../src/core/branch.ts'
import type { Device } from '../../src/device/port.ts'
import { PAGE_TOKENS, SPAN_INTS } from '../../src/device/port.ts'
import type { Architecture } from '../../src/model/architecture.ts'

export interface DrivenMix {
  readonly members: readonly { readonly id: number; readonly scale: number }[]
  readonly stacked?: boolean
  readonly virtualTokens?: VirtualTokens | null
  /** The member that has them. */
  readonly virtualOf?: number
}

/** One sequence on a device, with pages of its own. */
export class DrivenSequence {
  readonly tokens: number[]
  readonly mix: DrivenMix
  /** Virtual tokens that stand before its own. */
  readonly virtual: number
  /** Own tokens and virtual embeddings that were evaluated, prefixes of keys and values counted. */
  evaluated = 0
  pages: number[] = []
  ropeTable = 0

  constructor(tokens: readonly number[], mix: DrivenMix = { members: [] }) {
    this.mix = mix
    const { virtualTokens } = mix
    this.virtual = virtualTokens?.count ?? 0
    const embedded = virtualTokens?.type === 'embeddings' ? this.virtual : 0
    this.tokens = [...Array.from({ length: embedded }, (_, i) => -i - 1), ...tokens]
  }

  /** Tokens of keys and values that no step evaluates. */
  get prefix(): number {
    return this.mix.virtualTokens?.type === 'keys_values' ? this.virtual : 0
  }

  get ropeOffset(): number {
    const { virtualTokens } = this.mix
    return virtualTokens?.type === 'keys_values' && !virtualTokens.usePositions ? this.virtual : 0
  }

  /** Tokens that are still to be evaluated. */
  get left(): number {
    return this.tokens.length - Math.max(0, this.evaluated - this.prefix)
  }
}

/** What a step evaluates of one sequence. */
export interface DrivenPart {
  readonly sequence: DrivenSequence
  readonly count: number
}

/** Runs ragged steps on a device as the engine would, without any policy. */
export class StepDriver {
  readonly device: Device
  readonly #longRope: number
  #free: number[]

  constructor(device: Device, { longRope }: Pick<Architecture, 'longRope'>) {
    this.device = device
    this.#longRope = longRope?.length ?? Infinity
    // Pages in no order: nothing may depend on where they lie.
    this.#free = Array.from({ length: device.kvPages }, (_, i) => (i * 7) % device.kvPages)
    if (new Set(this.#free).size !== device.kvPages) this.#free = Array.from({ length: device.kvPages }, (_, i) => i)
  }

  get freePages(): number {
    return this.#free.length
  }

  release({ pages }: DrivenSequence): void {
    this.#free.push(...pages.splice(0))
  }

  /** Evaluates parts of sequences together. @returns logits by part and token */
  step(parts: readonly DrivenPart[]): Float32Array[][] {
    const mixes = parts.map(({ sequence }) => sequence.mix)
    const members = mixes.flatMap((mix) => mix.members)
    const mixStart = [0]
    for (const mix of mixes) mixStart.push(mixStart[mixStart.length - 1]! + mix.members.length)
    const sequences = new Int32Array(parts.length * SPAN_INTS)
    const tokens: number[] = []
    const pages: number[] = []
    for (const [i, { sequence, count }] of parts.entries()) {
      const end = this.#grow(sequence, count)
      const isBase = sequence.mix.members.length === 0
      sequences.set(
        [
          tokens.length,
          count,
          sequence.evaluated,
          sequence.ropeOffset,
          sequence.ropeTable,
          isBase ? -1 : i,
          pages.length,
          sequence.pages.length,
        ],
        i * SPAN_INTS,
      )
      tokens.push(...sequence.tokens.slice(sequence.evaluated - sequence.prefix, end - sequence.prefix))
      pages.push(...sequence.pages)
    }
    const width = this.device.logitWidth
    const logits = new Float32Array(tokens.length * width)
    this.device.step(
      {
        tokens: Int32Array.from(tokens),
        sequences,
        pages: Int32Array.from(pages),
        mixStart: Int32Array.from(mixStart),
        mixAdapters: Int32Array.from(members, ({ id }) => id),
        mixScales: Float32Array.from(members, ({ scale }) => scale),
        mixStacked: Uint8Array.from(mixes, ({ stacked }) => (stacked ? 1 : 0)),
        logitRows: Int32Array.from(tokens.keys()),
      },
      logits,
    )
    let row = 0
    return parts.map(({ sequence, count }) => {
      sequence.evaluated += count
      return Array.from({ length: count }, () => logits.slice(row * width, ++row * width))
    })
  }

  /** Evaluates what is left of a sequence. @returns logits of what was evaluated: all of it where a long rope's other table came into force */
  finish(sequence: DrivenSequence, chunk = Infinity): Float32Array[] {
    this.#chooseTable(sequence)
    const rows: Float32Array[] = []
    while (sequence.left > 0) rows.push(...this.step([{ sequence, count: Math.min(chunk, sequence.left) }])[0]!)
    return rows
  }

  /** A long rope rotates all tokens of a sequence anew once it outgrows the short one. */
  #chooseTable(sequence: DrivenSequence): void {
    const table = sequence.prefix + sequence.tokens.length > this.#longRope ? 1 : 0
    if (table === sequence.ropeTable) return
    sequence.ropeTable = table
    this.release(sequence)
    sequence.evaluated = 0
  }

  /** Gives a sequence the pages for its next tokens. @returns how many tokens it will have then */
  #grow(sequence: DrivenSequence, count: number): number {
    const { prefix, mix } = sequence
    if (sequence.evaluated === 0 && prefix > 0) {
      sequence.pages.push(...this.#free.splice(0, Math.ceil(prefix / PAGE_TOKENS)))
      this.device.writePrefix(mix.members[mix.virtualOf ?? 0]!.id, Int32Array.from(sequence.pages))
      sequence.evaluated = prefix
    }
    const end = sequence.evaluated + count
    const missing = Math.ceil(end / PAGE_TOKENS) - sequence.pages.length
    if (missing > this.#free.length) throw new Error(`the test needs ${missing} pages, ${this.#free.length} are free`)
    if (missing > 0) sequence.pages.push(...this.#free.splice(0, missing))
    return end
  }
}
