import { createHash } from 'node:crypto'

/** Places of one replica on the ring: more make the shares more even. */
const POINTS = 160

interface Point {
  readonly at: number
  readonly replica: number
}

/**
 * How the gateways of `deploy/` choose: consistent hashing with bounded load. A name's home is the next replica on the ring; one that is down, or has more than
 * its share of what runs, is passed over.
 */
export class Ring {
  readonly #points: readonly Point[]
  readonly #replicas: number
  readonly #factor: number

  /** @param factor most that runs at one replica, in shares */
  constructor(replicas: number, factor: number) {
    this.#replicas = replicas
    this.#factor = factor
    const points = Array.from({ length: replicas * POINTS }, (_, index) => {
      const replica = index % replicas
      return { at: hash(`replica-${replica} ${Math.floor(index / replicas)}`), replica }
    })
    this.#points = points.sort((a, b) => a.at - b.at)
  }

  /**
   * @param running what runs at each replica; null = it is down
   * @returns the replica for one more; null = all are down
   */
  choose(name: string, running: readonly (number | null)[]): number | null {
    const live = running.filter((count) => count !== null)
    const most = Math.ceil(((live.reduce((sum, count) => sum + count, 0) + 1) / live.length) * this.#factor)
    let first: number | null = null
    for (const replica of this.#from(hash(name))) {
      const count = running[replica] ?? null
      if (count === null) continue
      if (count < most) return replica
      first ??= replica
    }
    return first
  }

  /** Replicas in the order of the ring, each once. */
  *#from(at: number): Generator<number, void, void> {
    let [low, high] = [0, this.#points.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#points[middle]!.at < at) low = middle + 1
      else high = middle
    }
    const seen = new Set<number>()
    for (let n = 0; n < this.#points.length && seen.size < this.#replicas; n++) {
      const { replica } = this.#points[(low + n) % this.#points.length]!
      if (seen.has(replica)) continue
      seen.add(replica)
      yield replica
    }
  }
}

function hash(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0)
}
