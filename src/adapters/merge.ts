import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TroupeError } from '../core/errors.ts'
import { valueBytes, writeSafetensors } from '../safetensors/writer.ts'
import { digestAdapter, sha256Open } from './digest.ts'
import { CONFIG_FILE, WEIGHT_FILES } from './files.ts'
import type { Combination, LoraSource } from './peft/merge.ts'
import { mergeLoras } from './peft/merge.ts'
import type { OpenAdapter } from './open.ts'
import { withAdapter } from './open.ts'

/** What to merge, and where to. Plain data. */
export interface MergeJob {
  readonly combination: Combination
  readonly sources: readonly {
    /** What messages call it. */
    readonly name: string
    readonly dir: string
    /** What the files must be. */
    readonly digest: string
    readonly weight: number
  }[]
  /** Existing folder for the files of the result. */
  readonly into: string
  /** Largest size of the result's values. */
  readonly limitBytes: number
}

/**
 * Writes the merge of stored LoRAs as a PEFT adapter, flushed; blocks meanwhile. One module is in memory at a time.
 *
 * @throws TroupeError `invalid_request` as `mergeLoras`, `digest_mismatch` naming a source whose files were altered, `upload_too_large`;
 * the system's error where files cannot be written
 */
export function mergeAdapters({ combination, sources, into, limitBytes }: MergeJob): void {
  withAdapters(
    sources.map(({ dir }) => dir),
    (opened) => {
      const { config, tensors } = mergeLoras(
        combination,
        sources.map((source, i) => checked(source, opened[i]!)),
      )
      const bytes = valueBytes(tensors)
      if (bytes > limitBytes) {
        const message = `the merge would have ${bytes} bytes, more than the configured limit of ${limitBytes} for uploads`
        throw new TroupeError('upload_too_large', message)
      }
      writeSafetensors(join(into, WEIGHT_FILES.peft), tensors, { format: 'pt' })
      writeFlushed(join(into, CONFIG_FILE), `${JSON.stringify(config, null, 2)}\n`)
    },
  )
}

function withAdapters<T>(
  [dir, ...others]: readonly string[],
  use: (opened: readonly OpenAdapter[]) => T,
  opened: readonly OpenAdapter[] = [],
): T {
  if (dir === undefined) return use(opened)
  return withAdapter(dir, (adapter) => withAdapters(others, use, [...opened, adapter]))
}

function checked({ name, digest, weight }: MergeJob['sources'][number], opened: OpenAdapter): LoraSource {
  const { format, config, tokens, file, fd } = opened
  const found = digestAdapter(format, config, sha256Open(fd), tokens)
  if (found === digest) return { name, weight, config, file }
  const message = `the files of ${name} are not those that were accepted as ${digest}: they now have the digest ${found}`
  throw new TroupeError('digest_mismatch', `${message}. Upload the version again`, { param: name })
}

function writeFlushed(path: string, text: string): void {
  const fd = openSync(path, 'wx')
  try {
    writeFileSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
