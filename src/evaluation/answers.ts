import { randomBytes } from 'node:crypto'
import { Shape } from '../core/shape.ts'
import type { Store } from '../store/port.ts'
import type { ItemAnswer } from './item-run.ts'
import { ItemAnswerSchema } from './item-run.ts'
import { parsed } from './json-scores.ts'

const PREFIX = 'evaluations/'
const FLUSH_MS = 2_000
const FLUSH_COUNT = 256

const shape = new Shape(ItemAnswerSchema, 'answer')

/** The answers of one evaluation: kept in the store in parts, so that a killed server loses seconds of work. */
export class Answers {
  readonly #store: Store
  readonly #prefix: string
  readonly #known = new Map<string, ItemAnswer>()
  #unsaved: ItemAnswer[] = []
  #savedAt = performance.now()

  private constructor(store: Store, id: string) {
    this.#store = store
    this.#prefix = `${PREFIX}${id}/`
  }

  /** What is in the store. @throws TroupeError `storage_error` */
  static async read(store: Store, id: string): Promise<Answers> {
    const answers = new Answers(store, id)
    for (const key of await store.list(answers.#prefix)) {
      const bytes = await store.get(key)
      for (const line of Buffer.from(bytes ?? [])
        .toString()
        .split('\n')) {
        const answer = parsed(line)
        if (shape.matches(answer)) answers.#take(answer)
      }
    }
    return answers
  }

  /** Ids of evaluations that have answers in the store. @throws TroupeError `storage_error` */
  static async ids(store: Store): Promise<ReadonlySet<string>> {
    return new Set((await store.list(PREFIX)).map((key) => key.split('/')[1] ?? ''))
  }

  /** @throws TroupeError `storage_error` */
  static async remove(store: Store, id: string): Promise<void> {
    for (const key of await store.list(`${PREFIX}${id}/`)) await store.delete(key)
  }

  get count(): number {
    return this.#known.size
  }

  of(mix: number, item: number): ItemAnswer | null {
    return this.#known.get(`${mix}/${item}`) ?? null
  }

  /** Keeps an answer; it is in the store within seconds. @throws TroupeError `storage_error` */
  async add(answer: ItemAnswer): Promise<void> {
    this.#take(answer)
    this.#unsaved.push(answer)
    if (this.#unsaved.length >= FLUSH_COUNT || performance.now() - this.#savedAt > FLUSH_MS) await this.save()
  }

  /** @throws TroupeError `storage_error` */
  async save(): Promise<void> {
    const answers = this.#unsaved
    this.#savedAt = performance.now()
    if (answers.length === 0) return
    this.#unsaved = []
    const key = `${this.#prefix}${Date.now().toString(36)}-${randomBytes(6).toString('hex')}`
    await this.#store.put(key, Buffer.from(answers.map((answer) => `${JSON.stringify(answer)}\n`).join('')))
  }

  /** The first answer counts: a second server may have run the same item. */
  #take(answer: ItemAnswer): void {
    const key = `${answer.mix}/${answer.item}`
    if (!this.#known.has(key)) this.#known.set(key, answer)
  }
}
