/**
 * The gains of one kind of all resident versions: in every layer a table `[rows, channels]`, one row per version. Row 0 is all ones and
 * belongs to those without a gain.
 */
export class GainTable {
  readonly #channels: number
  readonly #layers: Float32Array[]
  /** By row; null = free. */
  readonly #owners: (string | null)[] = [null]

  constructor(layers: number, channels: number) {
    this.#channels = channels
    this.#layers = Array.from({ length: layers }, () => new Float32Array(channels).fill(1))
  }

  /** Rows of the tables, used or free. */
  get rows(): number {
    return this.#owners.length
  }

  /** `[rows, channels]` of one layer. */
  table(layer: number): Float32Array {
    return this.#layers[layer]!
  }

  /** The version's row; 0 when it has none. */
  row(digest: string): number {
    return Math.max(0, this.#owners.indexOf(digest))
  }

  /** @param gains by layer; null where the version multiplies nothing */
  add(digest: string, gains: readonly (Float32Array | null)[]): void {
    const free = this.#owners.indexOf(null, 1)
    const row = free < 0 ? this.#owners.length : free
    this.#owners[row] = digest
    for (const [layer, gain] of gains.entries()) {
      let table = this.#layers[layer]!
      if (table.length < (row + 1) * this.#channels) {
        const larger = new Float32Array((row + 1) * this.#channels)
        larger.set(table)
        this.#layers[layer] = table = larger
      }
      const values = table.subarray(row * this.#channels, (row + 1) * this.#channels)
      if (gain === null) values.fill(1)
      else values.set(gain)
    }
  }

  remove(digest: string): void {
    const row = this.#owners.indexOf(digest)
    if (row > 0) this.#owners[row] = null
  }

  /** Throws when the versions with a row are not `owners`. */
  checkIntegrity(kind: string, owners: ReadonlySet<string>): void {
    const present = this.#owners.filter((owner) => owner !== null)
    if (present.length !== owners.size || present.some((owner) => !owners.has(owner)))
      throw new Error(`the gains of ${kind} are those of ${present.join(', ')}, not of ${[...owners].join(', ')}`)
  }
}
