import { TroupeError } from '../../core/errors.ts'
import { VERSION_FILE } from './documents.ts'

const MAX_LENGTH = 128
const PLAIN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const KEPT = /\.(json|safetensors|md)$/

/** Files of one version, so that an upload cannot fill a folder with entries. */
export const MAX_FILES = 32

/** Whether a file belongs into a version folder: configs, safetensors and the card. */
function isAdapterFile(name: string): boolean {
  return name.length <= MAX_LENGTH && PLAIN.test(name) && KEPT.test(name) && name !== VERSION_FILE
}

/** @throws TroupeError `invalid_request` */
export function checkFileName(name: string): void {
  if (isAdapterFile(name)) return
  const shown = JSON.stringify(name.slice(0, MAX_LENGTH))
  throw new TroupeError(
    'invalid_request',
    `${shown} is no file of an adapter: expected are plain file names ending in .json, .safetensors or .md, other than ${VERSION_FILE}`,
    { param: 'files' },
  )
}
