import type { FastifyError } from 'fastify'
import { ERRORS, TroupeError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'

/** The one form of every error on the wire. */
export interface ErrorEnvelope {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly code: ErrorCode
    readonly param: string | null
    readonly request_id: string
  }
}

/** Codes of the web framework's own errors, by their prefix. */
const FRAMEWORK_CODES: readonly (readonly [prefix: string, code: ErrorCode, message: string | null])[] = [
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'upload_too_large', 'the request body is larger than this route allows'],
  ['FST_REQ_FILE_TOO_LARGE', 'upload_too_large', 'a file of the upload is larger than allowed'],
  ['FST_PARTS_LIMIT', 'upload_too_large', 'the upload has too many parts'],
  ['FST_FILES_LIMIT', 'upload_too_large', 'the upload has too many files'],
  ['FST_FIELDS_LIMIT', 'upload_too_large', 'the upload has too many fields'],
  [
    'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    'unsupported_media_type',
    'the body has no media type that this route takes: send JSON with the header `content-type: application/json`',
  ],
  ['FST_INVALID_MULTIPART_CONTENT_TYPE', 'unsupported_media_type', 'send the files as multipart/form-data'],
  ['FST_ERR_CTP_EMPTY_JSON_BODY', 'invalid_request', 'the body is empty: send a JSON object'],
  ['FST_ERR_CTP_INVALID_JSON_BODY', 'invalid_request', null],
  ['Z_', 'invalid_request', 'the body is not packed as its content-encoding says'],
  ['ERR__ERROR_', 'invalid_request', 'the body is not packed as its content-encoding says'],
  ['ERR_BUFFER', 'invalid_request', 'the body is not packed as its content-encoding says'],
  ['FST_', 'invalid_request', null],
]

/** Any thrown thing as an error with a code. What is not known to be safe to show becomes `internal`. */
export function toTroupeError(error: unknown): TroupeError {
  if (error instanceof TroupeError) return error
  const { code = '', statusCode = 500, message } = error as Partial<FastifyError>
  if (statusCode >= 400 && statusCode < 500) {
    const match = FRAMEWORK_CODES.find(([prefix]) => code.startsWith(prefix))
    return new TroupeError(match?.[1] ?? 'invalid_request', match?.[2] ?? message ?? 'the request is malformed', {
      cause: error,
    })
  }
  return new TroupeError('internal', 'internal error: the log has the details under the request id', { cause: error })
}

/** The wire form of an error. */
export function envelope(error: TroupeError, requestId: string): ErrorEnvelope {
  return {
    error: {
      message: error.message,
      type: ERRORS[error.code].type,
      code: error.code,
      param: error.param ?? null,
      request_id: requestId,
    },
  }
}
