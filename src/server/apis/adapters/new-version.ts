import type { Notes } from '../../../catalogue/version.ts'
import type { Arrival } from '../../../intake/pending-uploads.ts'
import type { Staging } from '../../../intake/staging.ts'
import type { ServerDeps } from '../../deps.ts'
import { toTroupeError } from '../../error-envelope.ts'
import { versionBody } from './schema.ts'
import type { VersionBody } from './schema.ts'

/**
 * Makes a version of files that `fill` puts into a staging folder and says something about. It is listed from its first byte on, stays
 * listed as rejected if it was looked at and found wrong, and counts as an upload, whatever comes out.
 */
export async function addNewVersion(
  { intake, metrics }: ServerDeps,
  name: string,
  arrival: Arrival,
  fill: (staging: Staging) => Promise<Notes>,
): Promise<{ readonly status: 200 | 201; readonly body: VersionBody }> {
  const staging = await intake.stage()
  const pending = intake.begin(name, arrival)
  try {
    const notes = await fill(staging)
    pending.validating()
    const { record, created } = await intake.add(name, staging, { ...arrival, notes })
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
