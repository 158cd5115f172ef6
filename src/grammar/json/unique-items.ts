import { canonicalJson } from '../../core/json.ts'
import type { Thread } from '../automaton.ts'

/** Steps of one look ahead; beyond it an item is taken to have an end. */
const MAX_LOOKAHEAD = 4_000

/** Where an item of an array ends that must differ from the ones before it. */
export interface UniquePlace {
  /** The thread that stands for the end of any value. */
  readonly end: Thread
  /** The items so far. */
  readonly seen: ReadonlySet<string>
  /** What follows an item; null when it is there already. */
  after(item: string): Thread | null
  /** The same wrapper for the same state. */
  shared(inner: Thread, text: string): UniqueItem
}

/** An item that is compared when it ends: what is written of it is kept. */
export class UniqueItem implements Thread {
  readonly id: number
  readonly canEnd = false
  readonly #inner: Thread
  readonly #text: string
  readonly #place: UniquePlace
  #alive: boolean | null = null

  constructor(id: number, inner: Thread, text: string, place: UniquePlace) {
    this.id = id
    this.#inner = inner
    this.#text = text
    this.#place = place
  }

  get plain(): number {
    return this.#inner.plain
  }

  step(byte: number, out: Thread[]): void {
    for (const thread of this.#next(byte)) if (!(thread instanceof UniqueItem) || thread.alive()) out.push(thread)
  }

  /** Whether some way to go on leads to an item that is not there yet. */
  alive(budget = { steps: 0 }): boolean {
    if (this.#alive !== null) return this.#alive
    if (this.plain > 0) return (this.#alive = true)
    // Assumed while its own continuations are looked at.
    this.#alive = false
    for (let byte = 0x20; byte < 0x80; byte++) {
      if (++budget.steps > MAX_LOOKAHEAD) break
      for (const thread of this.#next(byte))
        if (!(thread instanceof UniqueItem) || thread.alive(budget)) return (this.#alive = true)
    }
    this.#alive = budget.steps > MAX_LOOKAHEAD
    return this.#alive
  }

  #next(byte: number): Thread[] {
    const out: Thread[] = []
    // A number ends where something else begins.
    if (this.#inner.canEnd) this.#place.after(itemOf(this.#text))?.step(byte, out)
    const inner: Thread[] = []
    this.#inner.step(byte, inner)
    const text = this.#text + String.fromCharCode(byte)
    for (const thread of inner) {
      const next = thread === this.#place.end ? this.#place.after(itemOf(text)) : this.#place.shared(thread, text)
      if (next) out.push(next)
    }
    return out
  }
}

/** Equal values are the same text. `text` has a character for each byte. */
function itemOf(text: string): string {
  return canonicalJson(JSON.parse(Buffer.from(text, 'latin1').toString('utf8')))
}
