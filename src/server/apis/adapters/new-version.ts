import type { VersionNotes } from '../../../registry/adapter-notes.ts'
import type { Origin } from '../../../registry/intake.ts'
import type { Staging } from '../../../registry/store/port.ts'
import type { Caller } from '../../../tenancy/keys.ts'
import type { ServerDeps } from '../../deps.ts'
import { toTroupeError } from '../../error-envelope.ts'
import { versionBody } from './schema.ts'
import type { VersionBody } from './schema.ts'

/**
 * Makes a version of files that `fill` puts into a staging folder and says something about. It is listed from its first byte on, stays
 * listed as rejected if it was looked at and found wrong, and counts as an upload, whatever comes out.
 */
export async function addNewVersion(
  { registry, metrics }: ServerDeps,
  name: string,
  {
    source,
    caller,
    allowBaseMismatch = false,
  }: Pick<Origin, 'source' | 'allowBaseMismatch'> & { readonly caller: Caller },
  fill: (staging: Staging) => Promise<VersionNotes>,
): Promise<{ readonly status: 200 | 201; readonly body: VersionBody }> {
  const staging = await registry.stageUpload()
  const pending = registry.beginUpload(name, {}, source)
  try {
    const notes = await fill(staging)
    pending.validating()
    const { record, created } = await registry.addVersion(name, staging, {
      source,
      by: caller.tenant,
      notes,
      allowBaseMismatch,
    })
    pending.finish()
    metrics.uploadEnded(created ? 'created' : 'known')
    return { status: created ? 201 : 200, body: versionBody(record) }
  } catch (error) {
    const { code, message, status } = toTroupeError(error)
    // Only what was looked at and found wrong is a rejected version.
    if (status === 400 && code !== 'invalid_request') await pending.reject(`${code}: ${message}`)
    else pending.finish()
    metrics.uploadEnded(code)
    await staging.discard()
    throw error
  }
}
