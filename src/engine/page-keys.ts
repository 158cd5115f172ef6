import { createHash } from 'node:crypto'
import type { GenerationRequest } from '../core/generation.ts'
import { PAGE_TOKENS } from '../device/port.ts'

/**
 * Keys of a sequence's full pages. A page's key is a hash over everything that its numbers depend on: base model, tenant, digests and scales of the mix,
 * the table of rotations, then all tokens from the first. So a page is found only by sequences that would compute the same numbers, and never across
 * tenants; names play no part.
 */
export class PageKeys {
  readonly #domain: Buffer
  readonly #tokens: Int32Array
  /** By page, as far as they were asked for. */
  readonly #keys: Buffer[] = []

  /** @param tokens of the sequence, virtual ones included; more of them may become known later */
  constructor(fingerprint: string, request: GenerationRequest, ropeTable: number, tokens: Int32Array) {
    const members = request.mix.map(({ digest, scale }) => [digest, scale])
    const domain = [fingerprint, request.tenant, members, request.stack ?? false, ropeTable]
    this.#domain = createHash('sha256').update(JSON.stringify(domain)).digest()
    this.#tokens = tokens
  }

  /** All tokens of the page must be known. */
  of(page: number): string {
    for (let next = this.#keys.length; next <= page; next++) {
      const tokens = this.#tokens.subarray(next * PAGE_TOKENS, (next + 1) * PAGE_TOKENS)
      const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength)
      const before = this.#keys[next - 1] ?? this.#domain
      this.#keys.push(createHash('sha256').update(before).update(bytes).digest())
    }
    return this.#keys[page]!.toString('latin1')
  }
}
