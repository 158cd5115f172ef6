import { mergeAdapters } from '../adapters/merge.ts'
import { siteNorms } from '../adapters/site-norms.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { Loader } from './loader.ts'
import type { AdapterMerger, AdapterReader, NormReader } from './loader-messages.ts'

/** What is done with adapter files off the main thread. */
export interface Readers {
  readonly read: AdapterReader
  readonly measure: NormReader
  readonly merge: AdapterMerger
  close(): Promise<void>
}

/** @param reader a function, or a thread that is told where the base model lies; the thread measures and merges too */
export function openReaders(reader: AdapterReader | { readonly modelDir: string }, info: ModelInfo): Readers {
  if (typeof reader === 'function') {
    return {
      read: reader,
      measure: siteNorms,
      merge: async (job) => mergeAdapters(job),
      close: () => Promise.resolve(),
    }
  }
  const loader = new Loader({ info, modelDir: reader.modelDir })
  return {
    read: (dir, memory) => loader.read(dir, memory),
    measure: (weights) => loader.measure(weights),
    merge: (job) => loader.merge(job),
    close: () => loader.close(),
  }
}
