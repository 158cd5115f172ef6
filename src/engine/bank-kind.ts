import type { Activation, SiteKind } from '../core/branch.ts'
import { ACTIVATION_OF_ONE } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { siteCount, siteDims } from '../core/model-info.ts'
import type { PackedKind } from './packed-adapter.ts'

/** Rows of one version on the stack. */
export interface Segment {
  readonly digest: string
  readonly start: number
  readonly rows: number
  readonly activation: Activation
}

interface Slab {
  down: Float32Array
  up: Float32Array
  bias: Float32Array
}

/**
 * The stack of one site kind: in every layer `down [rows, inDim]`, `up [rows, outDim]` and `bias [rows]`.
 * A version has the same rows in every layer, so one mask per kind serves all layers. Any contiguous range of rows is a view.
 */
export class BankKind {
  readonly kind: SiteKind
  readonly inDim: number
  readonly outDim: number
  readonly #slabs: Slab[]
  /** In order of `start`. */
  #segments: Segment[] = []
  #capacity = 0

  constructor(kind: SiteKind, info: ModelInfo) {
    this.kind = kind
    ;[this.inDim, this.outDim] = siteDims(info, kind)
    const empty = (): Slab => ({ down: new Float32Array(0), up: new Float32Array(0), bias: new Float32Array(0) })
    this.#slabs = Array.from({ length: siteCount(info, kind) }, empty)
  }

  get layers(): number {
    return this.#slabs.length
  }

  segment(digest: string): Segment | undefined {
    return this.#segments.find((segment) => segment.digest === digest)
  }

  segments(): readonly Segment[] {
    return this.#segments
  }

  /** Copies a version's weights into the first gap that is large enough, its scale folded into `up`. */
  add(digest: string, packed: PackedKind): void {
    const start = this.#findGap(packed.rows)
    if (start + packed.rows > this.#capacity) this.#grow(start + packed.rows)
    this.#segments.push({ digest, start, rows: packed.rows, activation: packed.activation })
    this.#segments.sort((a, b) => a.start - b.start)
    for (const [layer, branch] of packed.branches.entries()) {
      const { down, up, bias } = this.#slabs[layer]!
      const downRows = down.subarray(start * this.inDim, (start + packed.rows) * this.inDim)
      const upRows = up.subarray(start * this.outDim, (start + packed.rows) * this.outDim)
      const rank = branch?.rank ?? 0
      downRows.fill(0, rank * this.inDim)
      upRows.fill(0, rank * this.outDim)
      bias.fill(0, start, start + packed.rows)
      if (branch === null) continue
      downRows.set(branch.down)
      copyScaled(branch.up, branch.scale, upRows)
      if (branch.a !== null) bias.set(branch.a, start)
      if (branch.c !== null) {
        const last = packed.rows - 1
        bias[start + last] = 1
        copyScaled(branch.c, branch.scale / ACTIVATION_OF_ONE[branch.activation], upRows.subarray(last * this.outDim))
      }
    }
  }

  remove(digest: string): void {
    this.#segments = this.#segments.filter((segment) => segment.digest !== digest)
  }

  /** Closes all gaps; the order of the segments stays. */
  compact(): void {
    let end = 0
    this.#segments = this.#segments.map((segment) => {
      const moved = { ...segment, start: end }
      if (segment.start !== end)
        for (const { down, up, bias } of this.#slabs) {
          moveRows(down, this.inDim, segment.start, end, segment.rows)
          moveRows(up, this.outDim, segment.start, end, segment.rows)
          moveRows(bias, 1, segment.start, end, segment.rows)
        }
      end += segment.rows
      return moved
    })
  }

  /** Views of rows `[start, end)` in one layer. */
  rows(layer: number, start: number, end: number): { down: Float32Array; up: Float32Array; bias: Float32Array } {
    const { down, up, bias } = this.#slabs[layer]!
    return {
      down: down.subarray(start * this.inDim, end * this.inDim),
      up: up.subarray(start * this.outDim, end * this.outDim),
      bias: bias.subarray(start, end),
    }
  }

  /** Throws when segments overlap, leave the stack or are not those of `owners`. */
  checkIntegrity(owners: ReadonlySet<string>): void {
    let end = 0
    for (const segment of this.#segments) {
      if (segment.start < end) throw new Error(`segments overlap at row ${segment.start} of ${this.kind}`)
      end = segment.start + segment.rows
      if (!owners.has(segment.digest)) throw new Error(`${this.kind} holds ${segment.digest}, which is not resident`)
    }
    if (end > this.#capacity) throw new Error(`${this.kind} holds ${end} rows in ${this.#capacity}`)
    if (owners.size !== this.#segments.length) throw new Error(`${this.kind} lacks a resident version`)
  }

  #findGap(rows: number): number {
    let end = 0
    for (const segment of this.#segments) {
      if (segment.start - end >= rows) return end
      end = segment.start + segment.rows
    }
    return end
  }

  /** Twice as much as before, so that filling the bank copies each row about once; the system backs memory as it is first used. */
  #grow(needed: number): void {
    const capacity = Math.max(needed, this.#capacity * 2)
    this.#capacity = capacity
    for (const slab of this.#slabs) {
      slab.down = enlarged(slab.down, capacity * this.inDim)
      slab.up = enlarged(slab.up, capacity * this.outDim)
      slab.bias = enlarged(slab.bias, capacity)
    }
  }
}

function copyScaled(from: Float32Array, scale: number, to: Float32Array): void {
  if (scale === 1) to.set(from)
  else for (let i = 0; i < from.length; i++) to[i] = from[i]! * scale
}

function moveRows(data: Float32Array, width: number, from: number, to: number, rows: number): void {
  data.copyWithin(to * width, from * width, (from + rows) * width)
}

function enlarged(data: Float32Array, length: number): Float32Array {
  const larger = new Float32Array(length)
  larger.set(data)
  return larger
}
