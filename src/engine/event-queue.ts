/** An unbounded single-consumer queue between a message handler and an async loop. */
export class EventQueue<T> {
  #items: T[] = []
  #waiting: ((item: T) => void) | null = null

  push(item: T): void {
    if (this.#waiting) {
      const resolve = this.#waiting
      this.#waiting = null
      resolve(item)
    } else this.#items.push(item)
  }

  async next(): Promise<T> {
    const item = this.#items.shift()
    if (item !== undefined) return item
    return new Promise((resolve) => (this.#waiting = resolve))
  }
}
