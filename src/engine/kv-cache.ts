import { Tensor } from 'onnxruntime-node'
import { IO } from '../model/graph/spec.ts'
import type { KvPrefix } from './packed-adapter.ts'
import type { RowMove } from './scheduler.ts'

export interface KvShape {
  readonly layers: number
  readonly slots: number
  readonly kvHeads: number
  /** Tokens per slot. */
  readonly capacity: number
  readonly headDim: number
}

interface Slab {
  readonly layer: number
  readonly part: 'key' | 'value'
  readonly data: Float32Array
}

/** Keys and values of some tokens in every layer, each `[kvHeads, tokens, headDim]`. */
export type KvLayers = KvPrefix['layers']

type TensorMap = Readonly<Record<string, Tensor>>

/** Past and present of one call: the same memory under both names. */
export interface KvView {
  readonly past: TensorMap
  readonly present: TensorMap
}

/**
 * Keys and values of all slots, one slab `[slots, kvHeads, capacity, headDim]` per layer and part.
 * A slot, or the first n slots, are views of the slab: attention reads and appends in place.
 */
export class KvCache {
  readonly shape: KvShape
  readonly #slabs: readonly Slab[]
  readonly #views = new Map<string, KvView>()

  constructor(shape: KvShape) {
    this.shape = shape
    const size = shape.slots * shape.kvHeads * shape.capacity * shape.headDim
    this.#slabs = Array.from({ length: shape.layers }, (_, layer) =>
      (['key', 'value'] as const).map((part) => ({ layer, part, data: new Float32Array(size) })),
    ).flat()
  }

  /** Bytes of all slabs; the system backs them as rows are first used. */
  get bytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + slab.data.byteLength, 0)
  }

  /** View of `count` slots from `first` on. */
  view(first: number, count: number): KvView {
    const key = `${first}+${count}`
    let view = this.#views.get(key)
    if (view === undefined) {
      const { kvHeads, capacity, headDim } = this.shape
      const slot = kvHeads * capacity * headDim
      const past: Record<string, Tensor> = {}
      const present: Record<string, Tensor> = {}
      for (const { layer, part, data } of this.#slabs) {
        const rows = data.subarray(first * slot, (first + count) * slot)
        const tensor = new Tensor('float32', rows, [count, kvHeads, capacity, headDim])
        past[IO.past(layer, part)] = tensor
        present[IO.present(layer, part)] = tensor
      }
      view = { past, present }
      this.#views.set(key, view)
    }
    return view
  }

  /** Copies the live tokens of one slot over another. */
  move({ from, to, length }: RowMove): void {
    const { kvHeads, capacity, headDim } = this.shape
    for (const { data } of this.#slabs)
      for (let head = 0; head < kvHeads; head++) {
        const source = (from * kvHeads + head) * capacity * headDim
        data.copyWithin((to * kvHeads + head) * capacity * headDim, source, source + length * headDim)
      }
  }

  /** Puts keys and values of `count` tokens from elsewhere into a slot, from token `at` on. */
  write(slot: number, at: number, count: number, layers: KvLayers): void {
    this.#eachHead(slot, at, (head, { layer, part, data }, start) => {
      const values = layers[layer]![part === 'key' ? 'keys' : 'values']
      const size = count * this.shape.headDim
      data.set(values.subarray(head * size, (head + 1) * size), start)
    })
  }

  /** A copy of `count` tokens of a slot, from token `at` on. */
  read(slot: number, at: number, count: number): KvLayers {
    const size = count * this.shape.headDim
    const empty = (): Float32Array => new Float32Array(this.shape.kvHeads * size)
    const copies = Array.from({ length: this.shape.layers }, () => ({ keys: empty(), values: empty() }))
    this.#eachHead(slot, at, (head, { layer, part, data }, start) => {
      copies[layer]![part === 'key' ? 'keys' : 'values'].set(data.subarray(start, start + size), head * size)
    })
    return copies
  }

  /** @param visit gets the offset of the head's token `at` in the slab */
  #eachHead(slot: number, at: number, visit: (head: number, slab: Slab, start: number) => void): void {
    const { kvHeads, capacity, headDim } = this.shape
    for (const slab of this.#slabs)
      for (let head = 0; head < kvHeads; head++) visit(head, slab, ((slot * kvHeads + head) * capacity + at) * headDim)
  }

  /** Takes back what a call returned as new arrays (only without in-place writing). */
  adopt(view: KvView, outputs: TensorMap): void {
    for (const [name, tensor] of Object.entries(view.present))
      (tensor.data as Float32Array).set(outputs[name]!.data as Float32Array)
  }
}
