import { isPickleName, pickleRefusal } from '../adapters/pickle.ts'
import { TroupeError } from '../core/errors.ts'

/** What an earlier format of the store kept beside the files. */
const VERSION_FILE = 'version.json'
const MAX_LENGTH = 128
const PLAIN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const KEPT = /\.(json|safetensors|md)$/

/** Files of one version, so that an upload cannot fill a folder with entries. */
export const MAX_FILES = 32

/** Whether a file belongs into a version folder: configs, safetensors and the card. */
export function isAdapterFile(name: string): boolean {
  return name.length <= MAX_LENGTH && PLAIN.test(name) && KEPT.test(name) && name !== VERSION_FILE
}

/** @throws TroupeError `pickle_refused` or `invalid_request` */
export function checkFileName(name: string): void {
  if (isAdapterFile(name)) return
  const shown = JSON.stringify(name.slice(0, MAX_LENGTH))
  if (isPickleName(name)) throw pickleRefusal(name.slice(0, MAX_LENGTH), 'adapter_model.safetensors')
  throw new TroupeError(
    'invalid_request',
    `${shown} is no file of an adapter: expected are plain file names ending in .json, .safetensors or .md, other than ${VERSION_FILE}`,
    { param: 'files' },
  )
}

/**
 * Those of a folder's files that belong to an adapter.
 * @throws TroupeError `pickle_refused` when the weights are there only as a pickle
 */
export function adapterFiles(names: readonly string[]): readonly string[] {
  const own = names.filter(isAdapterFile)
  const pickle = names.find(isPickleName)
  if (pickle !== undefined && !own.some((name) => name.endsWith('.safetensors')))
    throw pickleRefusal(pickle, 'adapter_model.safetensors')
  return own
}
