import { formatByteSize } from '../config/byte-size.ts'
import type { Settings } from '../config/schema.ts'
import { ensureWritableFolder } from '../config/writable-folder.ts'
import { defaultCacheDir, prepareModel } from '../model/prepare.ts'
import { ProgressLine } from './progress-line.ts'

/** Prepares a model into the cache, so that the next start with it is quick. */
export async function prepare(settings: Settings): Promise<void> {
  const cacheDir = settings.cacheDir ?? defaultCacheDir()
  ensureWritableFolder('cacheDir', cacheDir)
  const progress = new ProgressLine('preparing the model')
  const { dir, manifest } = await prepareModel({
    modelDir: settings.model,
    precision: settings.precision,
    cacheDir,
    name: settings.name,
    onProgress: (done, total, what) => progress.update(done, total, what),
  }).finally(() => progress.finish())
  const { info, tensors } = manifest
  const bytes = Object.values(tensors).reduce((sum, tensor) => sum + tensor.bytes, 0)
  console.log(`${info.name} (${info.family}, ${info.precision}, ${formatByteSize(bytes)}) is prepared in ${dir}`)
}
