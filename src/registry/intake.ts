import { checkBaseName } from '../adapters/base-name.ts'
import type { ReadAdapter } from '../adapters/read.ts'
import { TroupeError } from '../core/errors.ts'
import type { AdapterHost } from '../engine/engine.ts'
import { packAdapter } from '../engine/packed-adapter.ts'
import type { VersionNotes } from './adapter-notes.ts'
import { checkNotes } from './adapter-notes.ts'
import type { Catalogue } from './catalogue.ts'
import type { Changes } from './changes.ts'
import type { AdapterReader, NormReader } from './loader-messages.ts'
import type { Log } from './log.ts'
import type { MemoryTier } from './memory-tier.ts'
import { checkName, ownerOf } from './names.ts'
import type { MergedCheck } from './merged-check.ts'
import { probe } from './probe.ts'
import type { Proof } from './proof.ts'
import { writeProof } from './proof.ts'
import type { ProbeResult, VersionRecord, VersionSource } from './records.ts'
import { Serial } from './serial.ts'
import type { NewVersion, RegistryStore, Staging } from './store/port.ts'

export interface IntakeParts {
  readonly store: RegistryStore
  readonly catalogue: Catalogue
  readonly tier: MemoryTier
  readonly host: AdapterHost
  readonly read: AdapterReader
  readonly measure: NormReader
  readonly merged: MergedCheck
  /** Names of the base model that adapters may give; null = any. */
  readonly baseNames: readonly string[] | null
  readonly log: Log
  readonly changes: Changes
  /** Called when the stored bytes of a version were put right. */
  readonly onRepaired: (digest: string) => void
}

export interface Origin {
  readonly source: VersionSource
  readonly by: string
  readonly notes?: VersionNotes
  /** Takes an adapter that names another base model, with a warning. */
  readonly allowBaseMismatch?: boolean
}

export interface AddedVersion {
  readonly record: VersionRecord
  /** False if the adapter had these bytes already. */
  readonly created: boolean
}

/**
 * How files become a version: read and checked in the loader thread, probed in the engine, then published by one rename.
 * One at a time, so that the memory for it is bounded.
 */
export class Intake {
  readonly #parts: IntakeParts
  readonly #queue = new Serial()

  constructor(parts: IntakeParts) {
    this.#parts = parts
  }

  /**
   * Adds what was staged and uses the staging up, whatever comes out.
   * @throws TroupeError `invalid_request` or `conflict` for the name, what `readAdapter` and `probe` throw, `storage_error`
   */
  async add(name: string, staging: Staging, origin: Origin): Promise<AddedVersion> {
    try {
      this.#checkName(name)
      checkNotes(origin.notes ?? {})
      return await this.#queue.run(() => this.#examine(name, staging, origin))
    } finally {
      await staging.discard()
    }
  }

  /** Resolves when what was begun has ended. */
  async idle(): Promise<void> {
    await this.#queue.idle()
  }

  async #examine(name: string, staging: Staging, origin: Origin): Promise<AddedVersion> {
    const { catalogue, read, baseNames } = this.#parts
    const found = await read(staging.dir)
    const { baseModel, warnings: noticed } = found.description
    const ofBase = baseNames && checkBaseName(baseModel, baseNames, origin.allowBaseMismatch ?? false)
    const warnings = ofBase === null ? noticed : [...noticed, ofBase]
    const { digest } = found.weights
    const existing = catalogue.byDigest(name, digest)
    const kept = existing && (await this.#keepExisting(existing, staging, found))
    if (kept) return { record: kept, created: false }
    return this.#prove(found, async (result, proof) => {
      await writeProof(staging, proof)
      const notes = { ...origin.notes, ...(warnings.length > 0 ? { warnings } : {}) }
      return this.#publish(name, staging, { ...origin, notes }, found, result)
    })
  }

  /** Holds the version while it is probed and while `use` runs on what was found. */
  async #prove<T>(
    { weights, description }: ReadAdapter,
    use: (result: ProbeResult, proof: Proof) => Promise<T>,
  ): Promise<T> {
    const { tier, host, measure, merged } = this.#parts
    const load = (): Promise<ReadAdapter['weights']> => Promise.resolve(weights)
    const pin = await tier.pin([{ digest: weights.digest, bytes: weights.bytes, load }])
    try {
      const probed = await probe(host, weights)
      const comparison = merged.check(weights, probed, host.info)
      const [sites, compared] = await Promise.all([measure(weights), comparison])
      return await use(probed.result, { parameters: description.parameters, sites, merged: compared })
    } finally {
      pin.release()
    }
  }

  async #publish(
    name: string,
    staging: Staging,
    origin: Origin,
    { weights, description }: ReadAdapter,
    result: ProbeResult,
  ): Promise<AddedVersion> {
    const { store, catalogue, host, log, changes } = this.#parts
    const { format, method, rank, sites, virtualTokens, parameters } = description
    const version: NewVersion = {
      adapter: name,
      digest: weights.digest,
      createdAt: new Date().toISOString(),
      createdBy: origin.by,
      source: origin.source,
      format,
      method,
      rank,
      sites,
      virtualTokens,
      parameters,
      bytes: weights.bytes,
      deviceBytes: packAdapter(weights, host.info).bytes,
      probe: result,
      base: { name: host.info.name, fingerprint: host.info.fingerprint },
      ...origin.notes,
    }
    const { document, created } = await changes.run(`adapter ${name}`, async () => {
      const put = await store.putVersion(staging, version)
      catalogue.add(put.document)
      return put
    })
    const record = catalogue.record(document)
    log.info({ adapter: name, version: record.version, digest: record.digest, source: origin.source }, 'version added')
    return { record, created }
  }

  /**
   * The same bytes again. Whoever sends them may do so because the stored ones were altered: those are put right.
   * Null if the version was deleted meanwhile.
   */
  async #keepExisting(existing: VersionRecord, staging: Staging, found: ReadAdapter): Promise<VersionRecord | null> {
    const { adapter, version, digest } = existing
    const { store, catalogue, log, read, changes, onRepaired } = this.#parts
    if (existing.state !== 'ready') {
      const message = `these bytes are ${adapter}@v${version}, which was ${existing.reason ?? existing.state}: delete it first`
      throw new TroupeError('conflict', message)
    }
    const intact = await read(store.versionFolder(adapter, digest)).then(
      ({ weights }) => weights.digest === digest,
      () => false,
    )
    const current = (): VersionRecord | null => catalogue.byDigest(adapter, digest)
    if (intact) return changes.run(`adapter ${adapter}`, async () => current())
    return this.#prove(found, async (_, proof) =>
      changes.run(`adapter ${adapter}`, async () => {
        const kept = current()
        if (!kept) return null
        await writeProof(staging, proof)
        await store.repairVersion(staging, adapter, digest)
        onRepaired(digest)
        log.warn({ adapter, version, digest }, 'stored files were altered; put right by an upload')
        return kept
      }),
    )
  }

  #checkName(name: string): void {
    const { catalogue, host } = this.#parts
    checkName(name, 'adapter')
    if (name === host.info.name) {
      throw new TroupeError('invalid_request', `"${name}" is the name of the base model`, { param: 'adapter' })
    }
    const owner = ownerOf(name)
    if (owner !== null && catalogue.get(owner)) {
      throw new TroupeError('conflict', `"${owner}" is an adapter, so nothing can be called "${owner}/…"`, {
        param: 'adapter',
      })
    }
    if (catalogue.isOwner(name)) {
      throw new TroupeError('conflict', `"${name}" is the owner of other adapters, so no adapter can be called so`, {
        param: 'adapter',
      })
    }
  }
}
