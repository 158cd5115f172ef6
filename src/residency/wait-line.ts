interface Place<T, R> {
  readonly item: T
  readonly serve: (result: R) => void
}

/** A bounded first-come-first-served line in which nobody waits longer than a fixed time. */
export class WaitLine<T, R> {
  readonly #places: Place<T, R>[] = []
  readonly #maxLength: number
  readonly #waitMs: number
  readonly #refusal: () => Error

  /** @param refusal made for those who come when the line is full, or waited too long */
  constructor(maxLength: number, waitMs: number, refusal: () => Error) {
    this.#maxLength = maxLength
    this.#waitMs = waitMs
    this.#refusal = refusal
  }

  get length(): number {
    return this.#places.length
  }

  get first(): T | undefined {
    return this.#places[0]?.item
  }

  /** @param onLeave called after somebody gave up: the next in line may be served now */
  join(item: T, onLeave: () => void): Promise<R> {
    if (this.#places.length >= this.#maxLength) throw this.#refusal()
    return new Promise((resolve, reject) => {
      const place: Place<T, R> = {
        item,
        serve: (result) => {
          clearTimeout(timer)
          resolve(result)
        },
      }
      const timer = setTimeout(() => {
        this.#places.splice(this.#places.indexOf(place), 1)
        reject(this.#refusal())
        onLeave()
      }, this.#waitMs)
      this.#places.push(place)
    })
  }

  /** Serves from the front for as long as `next` has something for the first one. */
  serve(next: (item: T) => R | null): void {
    for (let place = this.#places[0]; place; place = this.#places[0]) {
      const result = next(place.item)
      if (result === null) return
      this.#places.shift()
      place.serve(result)
    }
  }
}
