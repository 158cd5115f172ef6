import { catalogueBook } from '../../src/catalogue/book.ts'
import { CatalogueState } from '../../src/catalogue/state.ts'
import type { TaskRecord } from '../../src/catalogue/task.ts'
import type { Version } from '../../src/catalogue/version.ts'
import type { Book, RecordHead } from '../../src/store/record.ts'
import { fakeDigest } from './fake-adapter.ts'

export const AT = '2026-01-02T03:04:05.000Z'

export function newVersion(adapter: string, effect: number, version = 1): Version {
  return {
    adapter,
    version,
    digest: fakeDigest({ effect }),
    blob: `0-${version.toString(16).padStart(12, '0')}`,
    createdAt: AT,
    createdBy: 'tests',
    source: 'upload',
    format: 'peft',
    method: 'lora',
    rank: 8,
    sites: ['layers.0.q_proj'],
    virtualTokens: 0,
    parameters: 128,
    bytes: 512,
    deviceBytes: 640,
    probe: { maxDifference: 0.5, kl: 0.01 },
    base: { name: 'base', fingerprint: 'sha256:0' },
  }
}

export function newTask(name: string, revision: number): TaskRecord {
  return {
    name,
    description: 'd',
    routes: [{ adapter: 'a', version: 1, weight: 1 }],
    shadow: { adapter: 'a', version: 2, sample: 0.5 },
    pinned: true,
    prompt: 'Q: {input}\nA:',
    system: null,
    defaults: { max_tokens: 5, stop: ['\n'] },
    history: [{ revision: 1, at: '2026-01-01T00:00:00.000Z', by: 'x', routes: [] }],
    revision,
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
  }
}

/** A catalogue without a store: records are applied as they come. */
export class BareBook {
  readonly state = new CatalogueState()
  readonly book: Book = catalogueBook(this.state)
  #head = 0

  /** Checks and applies a record. @throws TroupeError as the book says */
  take(type: string, data: unknown, by = 'tests', at = AT): void {
    const n = this.#head + 1
    const head: RecordHead = { n, id: `${n}`, at, by, server: 's', request: null, based: n - 1, type }
    const kind = this.book.kinds[type]
    if (!kind) throw new Error(`no record is called ${type}`)
    kind.check(data, head)
    kind.apply(data, head)
    this.#head = n
  }
}
