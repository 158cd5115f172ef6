import { readdir } from 'node:fs/promises'
import { checkBaseName } from '../adapters/base-name.ts'
import type { ReadAdapter } from '../adapters/read.ts'
import { checkNoOwner } from '../catalogue/book.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Changes } from '../catalogue/changes.ts'
import { readNotes } from '../catalogue/changes.ts'
import { checkName } from '../catalogue/names.ts'
import type { Version, VersionRecord } from '../catalogue/version.ts'
import { TroupeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { Serial } from '../core/serial.ts'
import type { AdapterHost } from '../engine/engine.ts'
import type { Readers } from '../residency/readers.ts'
import type { BlobId } from '../store/blobs.ts'
import { deleteBlob, newBlob, putBlob, readBlobFile } from '../store/blobs.ts'
import type { OpenStore } from '../store/open.ts'
import type { Origin } from '../store/record.ts'
import type { FolderReport } from './folder-report.ts'
import { folderSource } from './folder-source.ts'
import { folderWithin } from './import-folder.ts'
import type { MergeInput } from './merges.ts'
import { mergeInto } from './merges.ts'
import type { Arrival, PendingUpload } from './pending-uploads.ts'
import { PendingUploads } from './pending-uploads.ts'
import type { Proof } from './proof.ts'
import { parseProof, PROOF_FILE, writeProof } from './proof.ts'
import type { Proven, Prover } from './prover.ts'
import { Staging } from './staging.ts'
import { takeFiles } from './take-files.ts'

export interface IntakeParts {
  readonly open: OpenStore
  readonly catalogue: Catalogue
  readonly changes: Changes
  readonly prover: Prover
  readonly readers: Readers
  readonly host: Pick<AdapterHost, 'info'>
  /** Names of the base model that adapters may give; null = any. */
  readonly baseNames: readonly string[] | null
  readonly log: Log
}

export interface AddedVersion {
  readonly record: VersionRecord
  /** False if the adapter had these bytes already. */
  readonly created: boolean
}

/**
 * How files become a version: staged, read and checked in the loader thread, probed in the engine, stored as a blob, and then named by one record.
 * One at a time, so that the memory for it is bounded.
 */
export class Intake {
  readonly counts = { uploads: 0, refusedUploads: 0 }
  readonly pending: PendingUploads
  readonly #parts: IntakeParts
  readonly #queue = new Serial()
  #closing = false

  constructor(parts: IntakeParts) {
    this.#parts = parts
    this.pending = new PendingUploads(parts.changes, parts.log)
  }

  /** A folder for the files of an upload; pass it to `add` or discard it. */
  async stage(): Promise<Staging> {
    this.#refuseIfClosing()
    return Staging.create(this.#parts.open.work)
  }

  /** Shows an upload or merge among the adapter's versions, from its first byte on. */
  begin(adapter: string, arrival: Arrival): PendingUpload {
    return this.pending.begin(adapter, arrival)
  }

  /**
   * Adds what was staged and uses the staging up, whatever comes out.
   * @throws TroupeError `invalid_request` or `conflict` for the name, what `readAdapter` and `Prover.prove` throw, `storage_error`
   */
  async add(name: string, staging: Staging, arrival: Arrival): Promise<AddedVersion> {
    try {
      this.#refuseIfClosing()
      this.#checkName(name)
      const notes = readNotes({ ...arrival.notes })
      const added = await this.#queue.run(() => this.#examine(name, staging, { ...arrival, notes }))
      this.counts.uploads++
      return added
    } catch (error) {
      this.counts.refusedUploads++
      throw error
    } finally {
      await staging.discard()
    }
  }

  /**
   * Makes the files of a folder in the store a version; they stay where they are.
   * @param within folder below the store that the path must lie in; '' = anywhere in it
   * @throws TroupeError `invalid_request` for a path outside, `not_found`, and as `add`
   */
  async importFolder(name: string, path: string, within: string, origin: Origin): Promise<AddedVersion> {
    const dir = await folderWithin(this.#parts.open.folder, path, within)
    const { staging } = await this.takeFolder(dir)
    return this.add(name, staging, { ...origin, source: 'folder' })
  }

  /** Takes an adapter's files out of a folder, which stays as it is. @throws TroupeError as `takeFiles` */
  async takeFolder(dir: string): Promise<{ readonly staging: Staging; readonly report: FolderReport }> {
    const source = await folderSource(dir)
    const staging = await this.stage()
    try {
      return { staging, report: await takeFiles(source, staging.dir) }
    } catch (error) {
      await staging.discard()
      throw error
    }
  }

  /** Merges stored versions into a staging folder, and says what was merged. @throws TroupeError as `mergeInto` in merges.ts */
  async mergeInto(staging: Staging, input: MergeInput, tenant: string): Promise<string> {
    this.#refuseIfClosing()
    const { catalogue, open, readers } = this.#parts
    return mergeInto({ catalogue, blobs: open.blobs, merge: readers.merge }, staging, input, tenant)
  }

  /** What was found when a version was checked; null for what never was one. @throws TroupeError `storage_error` */
  async proofOf(adapter: string, number: number): Promise<Proof | null> {
    const { catalogue, open } = this.#parts
    const version = catalogue.state.byNumber(adapter, number)
    const bytes = version && (await readBlobFile(open.store, version, PROOF_FILE))
    return bytes && parseProof(Buffer.from(bytes).toString())
  }

  /** Ends what was begun; nothing new is taken. */
  async close(): Promise<void> {
    this.#closing = true
    await this.#queue.idle()
  }

  async #examine(name: string, staging: Staging, arrival: Arrival): Promise<AddedVersion> {
    const { catalogue, readers, baseNames, prover } = this.#parts
    const found = await readers.read(staging.dir)
    const { baseModel, warnings: noticed } = found.description
    const ofBase = baseNames && checkBaseName(baseModel, baseNames, arrival.allowBaseMismatch ?? false)
    const warnings = ofBase === null ? noticed : [...noticed, ofBase]
    const existing = catalogue.state.byDigest(name, found.weights.digest)
    const kept = existing && (await this.#keepExisting(existing, staging, found, arrival))
    if (kept) return { record: catalogue.record(kept), created: false }
    return prover.prove(found, async (proven) => {
      await writeProof(staging.dir, proven.proof)
      return this.#publish(name, staging, arrival, { ...found, warnings }, proven)
    })
  }

  async #publish(
    name: string,
    staging: Staging,
    { source, notes, ...origin }: Arrival,
    { weights, description, warnings }: ReadAdapter & { readonly warnings: readonly string[] },
    { result: probe, deviceBytes }: Proven,
  ): Promise<AddedVersion> {
    const { catalogue, changes, host, log } = this.#parts
    const { format, method, rank, sites, virtualTokens, tokens, parameters } = description
    const facts = {
      ...{ adapter: name, digest: weights.digest, createdAt: new Date().toISOString(), createdBy: origin.by, source },
      ...{ format, method, rank, sites, virtualTokens, parameters, bytes: weights.bytes },
      deviceBytes,
      probe,
      base: { name: host.info.name, fingerprint: host.info.fingerprint },
      ...(tokens && { tokens }),
      ...notes,
      ...(warnings.length > 0 ? { warnings } : {}),
    }
    const { version, created } = await this.#named(weights.digest, staging, async ({ blob }) => {
      const added = await changes.addVersion({ ...facts, blob }, origin)
      return { ...added, isUsed: added.created }
    })
    log.info({ adapter: name, version: version.version, digest: version.digest, source }, 'version added')
    return { record: catalogue.record(version), created }
  }

  /**
   * Stores what was staged, then lets `name` record it. Files that were collected before, which only takes as long as an upload may not, are stored again;
   * files that are not used after all go at once.
   */
  async #named<T extends { readonly isUsed: boolean }>(
    digest: string,
    staging: Staging,
    name: (id: BlobId) => Promise<T>,
  ): Promise<T> {
    const { store } = this.#parts.open
    for (let isFirst = true; ; isFirst = false) {
      const id = newBlob(digest, Date.now())
      await putBlob(store, id, staging.dir, await readdir(staging.dir))
      try {
        const named = await name(id)
        if (!named.isUsed) await deleteBlob(store, id)
        return named
      } catch (error) {
        if (isFirst && this.#parts.catalogue.state.isCondemned(id)) continue
        // Where the store failed the record may be there: then the files must be, too.
        const isCertain = error instanceof TroupeError && error.code !== 'storage_error'
        if (isCertain) await deleteBlob(store, id).catch(() => undefined)
        throw error
      }
    }
  }

  /**
   * The same bytes again. Whoever sends them may do so because the stored ones were altered: those are put right.
   * Null if the version was deleted meanwhile.
   */
  async #keepExisting(
    existing: Version,
    staging: Staging,
    found: ReadAdapter,
    origin: Origin,
  ): Promise<Version | null> {
    const { adapter, version, digest } = existing
    const { catalogue, changes, log, prover } = this.#parts
    if (!catalogue.isReady(existing)) {
      const reason = catalogue.record(existing).reason ?? 'rejected'
      throw new TroupeError('conflict', `these bytes are ${adapter}@v${version}, which was ${reason}: delete it first`)
    }
    const current = (): Version | null => catalogue.state.byNumber(adapter, version)
    if (await this.#isIntact(existing)) return current()
    return prover.prove(found, async ({ proof }) => {
      if (!current()) return null
      await writeProof(staging.dir, proof)
      await this.#named(digest, staging, async (id) => {
        await changes.repairVersion(adapter, version, id, origin)
        return { isUsed: true }
      })
      log.warn({ adapter, version, digest }, 'stored files were altered; put right by an upload')
      return current()
    })
  }

  /** Whether the files in the store, and not some copy of them, are what was accepted. */
  async #isIntact(version: Version): Promise<boolean> {
    const { open, readers } = this.#parts
    await open.blobs.discard(version)
    try {
      const { weights } = await readers.read(await open.blobs.folder(version))
      return weights.digest === version.digest
    } catch (error) {
      if (error instanceof TroupeError && error.code === 'not_ready') throw error
      return false
    }
  }

  #checkName(name: string): void {
    const { catalogue, host } = this.#parts
    checkName(name, 'adapter')
    if (name === host.info.name) {
      throw new TroupeError('invalid_request', `"${name}" is the name of the base model`, { param: 'adapter' })
    }
    checkNoOwner(catalogue.state, name)
  }

  #refuseIfClosing(): void {
    if (this.#closing) throw new TroupeError('not_ready', 'the server is stopping')
  }
}
