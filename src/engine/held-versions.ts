import type { AdapterWeights, MixEntry } from '../core/branch.ts'

/** Reads a version's weights. */
export type ReadWeights = () => Promise<AdapterWeights>
/** Brings weights into the memory of today's device; gives the bytes that they take there. */
export type Bring = (weights: AdapterWeights) => Promise<number>

interface HeldVersion {
  readonly again: ReadWeights
  /** Bytes; the device has it then. */
  ready: Promise<number>
  failed: boolean
}

/** The main thread's list of what the engine holds: it outlives the engine thread, and a new one gets the same versions. */
export class HeldVersions {
  readonly #versions = new Map<string, HeldVersion>()
  readonly #bring: Bring

  constructor(bring: Bring) {
    this.#bring = bring
  }

  async hold(weights: AdapterWeights, again: ReadWeights): Promise<number> {
    const { digest } = weights
    const known = this.#versions.get(digest)
    if (known !== undefined && !known.failed) return known.ready
    const version: HeldVersion = { again, ready: Promise.resolve(0), failed: false }
    this.#versions.set(digest, version)
    this.#load(version, () => this.#bring(weights))
    return version.ready
  }

  /** @returns whether it was held */
  drop(digest: string): boolean {
    return this.#versions.delete(digest)
  }

  /** Waits until all versions of a mix are there that are on their way. What could not be brought is tried once more. */
  async ready(mix: readonly MixEntry[]): Promise<void> {
    const versions = mix.flatMap(({ digest }) => this.#versions.get(digest) ?? [])
    for (const version of versions) if (version.failed) this.#load(version, () => this.#read(version))
    await Promise.all(versions.map(({ ready }) => ready))
  }

  /**
   * Gives all versions to a new device, one after the other.
   *
   * @param onFailure told of those that could not be read or brought
   */
  restore(onFailure: (digest: string, error: Error) => void): void {
    let before: Promise<unknown> = Promise.resolve()
    for (const [digest, version] of this.#versions) {
      const previous = before
      this.#load(version, async () => {
        await previous
        return this.#versions.get(digest) === version ? this.#read(version) : 0
      })
      before = version.ready.catch((error: unknown) => onFailure(digest, error as Error))
    }
  }

  async #read({ again }: HeldVersion): Promise<number> {
    return this.#bring(await again())
  }

  #load(version: HeldVersion, load: () => Promise<number>): void {
    const ready = load()
    version.failed = false
    version.ready = ready
    ready.catch(() => {
      if (version.ready === ready) version.failed = true
    })
  }
}
