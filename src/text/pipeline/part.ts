import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'

/**
 * One part of `tokenizer.json` while it is read. Every field must be asked for before `close`: what nobody understands is refused and
 * never left out. Throws plain errors that name the place; `Tokenizer.load` names the file.
 */
export class Part {
  readonly #json: JsonObject
  readonly #path: string
  readonly #read = new Set<string>(['type'])

  constructor(json: JsonObject, path: string) {
    this.#json = json
    this.#path = path
  }

  get type(): string {
    const { type } = this.#json
    if (typeof type === 'string') return type
    throw new Error(`${this.#path} has no type`)
  }

  text(name: string, fallback?: string): string {
    const value = this.#value(name, fallback)
    if (typeof value === 'string') return value
    throw new Error(`${this.#of(name)} must be a text`)
  }

  flag(name: string, fallback?: boolean): boolean {
    const value = this.#value(name, fallback)
    if (typeof value === 'boolean') return value
    throw new Error(`${this.#of(name)} must be true or false`)
  }

  count(name: string, fallback?: number): number {
    const value = this.#value(name, fallback)
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw new Error(`${this.#of(name)} must be a whole number from 0 on`)
  }

  list(name: string): readonly unknown[] {
    const value = this.#value(name)
    if (Array.isArray(value)) return value
    throw new Error(`${this.#of(name)} must be a list`)
  }

  object(name: string): JsonObject {
    const value = this.#value(name)
    if (isJsonObject(value)) return value
    throw new Error(`${this.#of(name)} must be an object`)
  }

  /** Any value; undefined when it is null or not there. */
  raw(name: string): unknown {
    return this.#value(name) ?? undefined
  }

  /** A part within this one; null when it is null or not there. */
  child(name: string): Part | null {
    const value = this.#value(name) ?? null
    if (value === null) return null
    if (isJsonObject(value)) return new Part(value, this.#of(name))
    throw new Error(`${this.#of(name)} must be an object`)
  }

  children(name: string): Part[] {
    return this.list(name).map((value, i) => {
      if (isJsonObject(value)) return new Part(value, `${this.#of(name)}[${i}]`)
      throw new Error(`${this.#of(name)}[${i}] must be an object`)
    })
  }

  /** Fields that change nothing here: offsets into the text, for example. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#read.add(name)
  }

  /** Throws unless everything that is set was asked for. */
  close(): void {
    const unknown = Object.keys(this.#json).find((name) => !this.#read.has(name) && this.#json[name] !== null)
    if (unknown !== undefined) throw new Error(`${this.#of(unknown)} is not supported`)
  }

  refuse(what: string): never {
    throw new Error(this.#path === '' ? what : `${this.#path}: ${what}`)
  }

  /** Throws for a type that is none of the `supported` ones. */
  refuseType(supported: readonly string[]): never {
    throw new Error(`${this.#path} of type ${this.type} is not supported; supported: ${supported.join(', ')}`)
  }

  #of(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }

  #value(name: string, fallback?: unknown): unknown {
    this.#read.add(name)
    return this.#json[name] ?? fallback
  }
}
