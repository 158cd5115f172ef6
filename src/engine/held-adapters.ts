import type { AdapterWeights, MixEntry } from '../core/branch.ts'
import type { DeviceResidents } from '../core/messages.ts'
import type { Device, LoadedAdapter } from '../device/port.ts'

/** Tokens that a mix puts before every prompt. */
export interface VirtualPrefix {
  readonly count: number
  /** `embeddings` are evaluated like tokens; `keys_values` are written into pages. */
  readonly type: 'embeddings' | 'keys_values'
  /** Whether the prompt's positions begin behind them, or at 0. */
  readonly usePositions: boolean
}

interface Held extends LoadedAdapter {
  readonly virtual: VirtualPrefix | null
  /** Tokens from the base model's vocabulary on that it has rows for. */
  readonly newTokens: number
  /** Sequences that name it. */
  uses: number
  /** To be freed with its last use. */
  dropped: boolean
}

interface Loading {
  bytes: Promise<number>
  /** False once it was dropped while it was on its way. */
  wanted: boolean
}

/** The versions in the device's memory, and who uses them. */
export class HeldAdapters {
  readonly counters = { loads: 0, failures: 0, loadedBytes: 0, loadMs: 0 }
  readonly #device: Device
  readonly #vocab: number
  readonly #held = new Map<string, Held>()
  /** Versions that a drop overtook, still used. */
  readonly #leaving = new Set<Held>()
  readonly #loading = new Map<string, Loading>()

  /** @param vocab tokens of the base model */
  constructor(device: Device, vocab: number) {
    this.#device = device
    this.#vocab = vocab
  }

  get count(): number {
    return this.#held.size
  }

  /**
   * Brings a version into the device's memory while steps go on. Idempotent per digest.
   *
   * @returns bytes that it takes there
   * @throws Error what the device has against it
   */
  async hold(weights: AdapterWeights): Promise<number> {
    const { digest } = weights
    const held = this.#held.get(digest)
    if (held !== undefined) return held.bytes
    const begun = this.#loading.get(digest)
    if (begun !== undefined) {
      begun.wanted = true
      return begun.bytes
    }
    const loading = { wanted: true, bytes: Promise.resolve(0) }
    this.#loading.set(digest, loading)
    loading.bytes = this.#load(weights, loading)
    return loading.bytes
  }

  /** Frees a version, once no sequence uses it any more. */
  drop(digest: string): void {
    const loading = this.#loading.get(digest)
    if (loading !== undefined) loading.wanted = false
    const held = this.#held.get(digest)
    if (held === undefined) return
    this.#held.delete(digest)
    held.dropped = true
    if (held.uses > 0) this.#leaving.add(held)
    else this.#device.dropAdapter(held.id)
  }

  /** The first of these that is not there; null = all are. */
  missing(mix: readonly MixEntry[]): string | null {
    return mix.find(({ digest }) => !this.#held.has(digest))?.digest ?? null
  }

  /** Keeps the versions of a mix until the uses are over; all must be there. */
  use(mix: readonly MixEntry[]): MixUse {
    const members = mix.map(({ digest }) => this.#held.get(digest)!)
    for (const held of members) held.uses++
    return new MixUse(members, () => {
      for (const held of members) if (--held.uses === 0 && held.dropped) this.#free(held)
    })
  }

  residents(): DeviceResidents {
    const residents = [...this.#held].map(([digest, { bytes }]) => ({ digest, bytes }))
    return { residents, loadedBytes: this.counters.loadedBytes, loadMs: this.counters.loadMs }
  }

  /** Throws when versions are used more or less often than by these. */
  checkIntegrity(uses: Iterable<MixUse>): void {
    const expected = new Map<LoadedAdapter, number>()
    for (const { members } of uses) for (const held of members) expected.set(held, (expected.get(held) ?? 0) + 1)
    for (const held of [...this.#held.values(), ...this.#leaving]) {
      const count = expected.get(held) ?? 0
      if (held.uses !== count) throw new Error(`adapter ${held.id} counts ${held.uses} uses, has ${count}`)
      expected.delete(held)
    }
    for (const { id } of expected.keys()) throw new Error(`adapter ${id} is used and not held`)
    for (const { id, uses } of this.#leaving) if (uses === 0) throw new Error(`adapter ${id} was to be freed`)
  }

  async #load(weights: AdapterWeights, loading: Loading): Promise<number> {
    const { digest } = weights
    const began = performance.now()
    try {
      const { id, bytes } = await this.#device.loadAdapter(weights)
      this.counters.loads++
      this.counters.loadedBytes += bytes
      this.counters.loadMs += performance.now() - began
      const newTokens = weights.tokenRows?.ids.filter((token) => token >= this.#vocab).length ?? 0
      if (loading.wanted)
        this.#held.set(digest, { id, bytes, virtual: virtualOf(weights), newTokens, uses: 0, dropped: false })
      else this.#device.dropAdapter(id)
      return bytes
    } catch (error) {
      this.counters.failures++
      throw error
    } finally {
      this.#loading.delete(digest)
    }
  }

  #free(held: Held): void {
    this.#leaving.delete(held)
    this.#device.dropAdapter(held.id)
  }
}

/** One sequence's hold on the versions of its mix. */
export class MixUse {
  readonly members: readonly (LoadedAdapter & Pick<Held, 'virtual' | 'newTokens'>)[]
  readonly #release: () => void
  #released = false

  constructor(members: MixUse['members'], release: () => void) {
    this.members = members
    this.#release = release
  }

  /** What its prompt begins with. */
  get virtual(): VirtualPrefix | null {
    return this.members.find(({ virtual }) => virtual !== null)?.virtual ?? null
  }

  /** Tokens from the base model's vocabulary on that it knows. */
  get newTokens(): number {
    return Math.max(0, ...this.members.map(({ newTokens }) => newTokens))
  }

  /** Idempotent. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#release()
  }
}

function virtualOf({ virtualTokens }: AdapterWeights): VirtualPrefix | null {
  if (virtualTokens === null) return null
  const { type, count } = virtualTokens
  return { type, count, usePositions: type === 'embeddings' || virtualTokens.usePositions }
}
