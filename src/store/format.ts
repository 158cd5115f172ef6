import { Type } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import { parseJsonObject } from '../core/json.ts'
import { Shape } from '../core/shape.ts'
import type { Store } from './port.ts'

/** The format of a store that this version of the program writes; format 1 was one of folders. */
export const FORMAT = 2

const KEY = 'format.json'
const FormatFile = new Shape(Type.Object({ format: Type.Integer({ minimum: 1 }) }), KEY)

/**
 * Says of a new store which format it has, and looks at that of another one.
 *
 * @throws TroupeError `storage_error` where it is another format than ours
 */
export async function checkFormat(store: Store): Promise<void> {
  const text = await store.get(KEY)
  if (text === null) {
    // Another server may be quicker, with the same.
    await store.put(KEY, Buffer.from(`${JSON.stringify({ format: FORMAT })}\n`))
    return
  }
  const { format } = FormatFile.check(
    parseJsonObject(Buffer.from(text).toString(), KEY, 'storage_error'),
    'storage_error',
  )
  if (format === FORMAT) return
  const message = `${store.name} has the format ${format}, this version of troupe knows ${FORMAT}: use a newer version of troupe`
  throw new TroupeError('storage_error', message, { param: store.name })
}
