import { TroupeError } from '../../core/errors.ts'

interface StreamFields {
  readonly stream?: boolean | null
  readonly stream_options?: { readonly include_usage?: boolean | null } | null
}

/** Whether a stream ends with a chunk that carries the usage. Throws `invalid_request` for options without a stream. */
export function includeUsage({ stream, stream_options: options }: StreamFields): boolean {
  if (options && !stream)
    throw new TroupeError('invalid_request', '`stream_options` makes sense only with `stream: true`', {
      param: 'stream_options',
    })
  return options?.include_usage ?? false
}
