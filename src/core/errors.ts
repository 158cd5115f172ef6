interface ErrorKind {
  /** HTTP status it is rendered with. */
  readonly status: number
  /** Class of the error in the wire envelope (OpenAI's field `type`). */
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'permission_error'
    | 'not_found_error'
    | 'conflict_error'
    | 'overloaded_error'
    | 'server_error'
  /** When it happens and what to do: rendered into docs/errors.md. */
  readonly about: string
}

function kind(status: number, type: ErrorKind['type'], about: string): ErrorKind {
  return { status, type, about }
}

/** Every error a client can meet. Codes are stable; messages name the field, tensor or file and the fix. */
export const ERRORS = {
  invalid_request: kind(400, 'invalid_request_error', 'A field is missing, unknown or out of range; `param` names it.'),
  invalid_api_key: kind(
    401,
    'authentication_error',
    'The key is missing or unknown. Send `Authorization: Bearer <key>`.',
  ),
  expired_api_key: kind(
    401,
    'authentication_error',
    'The key has expired, or the server’s clock is set to a time before the key was made. Ask an admin for a new one.',
  ),
  revoked_api_key: kind(
    401,
    'authentication_error',
    'The key was revoked, or its tenant was deleted. Use another one.',
  ),
  invalid_token: kind(
    401,
    'authentication_error',
    'The JWT is refused; the message says whether for its form, signature, `kid`, issuer, audience or claims.',
  ),
  expired_token: kind(401, 'authentication_error', 'The JWT has expired. Sign in again at its issuer.'),
  identity_unavailable: kind(
    503,
    'overloaded_error',
    'The keys of the tokens’ issuer cannot be fetched, so JWTs cannot be checked. API keys still work. Retry after `Retry-After` seconds.',
  ),
  forbidden: kind(
    403,
    'permission_error',
    'The key is valid but may not do this: a tenant alters only names that begin with its own, the rest needs an administrator.',
  ),
  host_not_allowed: kind(
    421,
    'permission_error',
    'The request’s `Host` is none of this server’s names, as when a web page’s name is pointed at it (DNS rebinding). The setting `allowedHosts` adds names.',
  ),
  origin_not_allowed: kind(
    403,
    'permission_error',
    'A web page of another origin asked a server without keys for a change. The setting `allowedOrigins` lets pages of an origin use the API.',
  ),
  not_found: kind(404, 'not_found_error', 'No such route or resource.'),
  model_not_found: kind(
    404,
    'not_found_error',
    '`model` names no task, adapter version or base model this key can see. `GET /v1/models` lists them.',
  ),
  evaluation_not_found: kind(
    404,
    'not_found_error',
    'No such evaluation, or none with that set. `GET /v1/evaluations` lists them.',
  ),
  task_not_found: kind(404, 'not_found_error', 'No such task. `GET /v1/tasks` lists them.'),
  adapter_not_found: kind(404, 'not_found_error', 'No such adapter. `GET /v1/adapters` lists them.'),
  version_not_found: kind(
    404,
    'not_found_error',
    'The adapter has no such version. `GET /v1/adapters/{name}` lists them.',
  ),
  tenant_not_found: kind(404, 'not_found_error', 'No such tenant. `GET /v1/tenants` lists them.'),
  key_not_found: kind(
    404,
    'not_found_error',
    'The tenant has no such key. `GET /v1/tenants/{tenant}/keys` lists them.',
  ),
  version_deleted: kind(
    410,
    'not_found_error',
    'The version was deleted while the request ran, and the time it had to finish (`drain_seconds`) is over.',
  ),
  adapter_not_ready: kind(
    409,
    'conflict_error',
    'The version was rejected or is being deleted; its state and reason are in `GET /v1/adapters/{name}`.',
  ),
  adapter_in_use: kind(
    409,
    'conflict_error',
    'A task still routes to what should be deleted: activate another version first. Or, with `drain_seconds=0`, requests in flight use it: the message has their number.',
  ),
  pin_mismatch: kind(
    409,
    'conflict_error',
    'The request would not run with exactly the version that its header `x-troupe-digest` names; the message says with which.',
  ),
  gate_not_passed: kind(
    409,
    'conflict_error',
    'The task needs a passing evaluation before it routes to a version, and there is none; the message has the numbers and the way out.',
  ),
  rollback_empty: kind(409, 'conflict_error', 'The task has no earlier activation to go back to.'),
  conflict: kind(409, 'conflict_error', 'The resource changed meanwhile. Read it again and repeat.'),
  unsupported_media_type: kind(
    415,
    'invalid_request_error',
    'The body must be JSON, or multipart/form-data for uploads.',
  ),
  method_not_allowed: kind(405, 'invalid_request_error', 'The path exists, but not with this method.'),
  request_timeout: kind(
    408,
    'invalid_request_error',
    'The request did not arrive whole in time, because the client or the machine stood still. Nothing was done: send it again.',
  ),
  context_length_exceeded: kind(
    400,
    'invalid_request_error',
    'Prompt plus `max_tokens` exceed the context. Shorten either.',
  ),
  invalid_adapter: kind(
    400,
    'invalid_request_error',
    'The adapter files cannot be served: the message names the file, tensor or config field.',
  ),
  unsupported_adapter: kind(
    400,
    'invalid_request_error',
    'A well-formed adapter of a kind that is not supported; the message says which field.',
  ),
  pickle_refused: kind(400, 'invalid_request_error', 'Pickled weights can run code when read. Save as safetensors.'),
  base_mismatch: kind(
    400,
    'invalid_request_error',
    'The adapter was made for another base model: names or shapes do not fit.',
  ),
  adapter_has_no_effect: kind(
    400,
    'invalid_request_error',
    'The probe ran and the answers equal the base model’s: the adapter does nothing.',
  ),
  probe_mismatch: kind(
    400,
    'invalid_request_error',
    'The probe ran and the answers are not those of the base model with the adapter merged into its weights: it would be served wrongly. Please report it; the setting `mergedProbe` switches the comparison off.',
  ),
  source_unavailable: kind(
    502,
    'server_error',
    'A version could not be fetched from the place that `source` names: the message says what was answered there.',
  ),
  upload_too_large: kind(413, 'invalid_request_error', 'The upload exceeds the configured limit.'),
  unsupported_schema: kind(
    400,
    'invalid_request_error',
    'A JSON Schema or grammar uses something that cannot be enforced on the answer; the message names it and what to write instead.',
  ),
  schema_too_complex: kind(
    400,
    'invalid_request_error',
    'A JSON Schema or grammar needs more states, alternatives or time to compile than is allowed; the message names the place.',
  ),
  invalid_model: kind(
    400,
    'invalid_request_error',
    'The base model folder cannot be served: the message names the file or field.',
  ),
  invalid_config: kind(400, 'invalid_request_error', 'A configuration value is wrong; the message names the key.'),
  rate_limit_exceeded: kind(
    429,
    'overloaded_error',
    'The tenant has too many requests at once. Retry after `Retry-After` seconds.',
  ),
  overloaded: kind(503, 'overloaded_error', 'The queue is full. Retry after `Retry-After` seconds.'),
  engine_failed: kind(
    500,
    'server_error',
    'The engine failed while the request ran; the message says how. It goes on with others, or starts anew: send the request again.',
  ),
  device_unavailable: kind(
    500,
    'server_error',
    'The server cannot start on this machine: the native addon, an extension of the processor or memory is missing; the message says which. `troupe doctor` checks for them.',
  ),
  not_ready: kind(
    503,
    'overloaded_error',
    'The server is starting or stopping. At the end of a stream: it stopped before the answer was complete. Send the request again, to another server.',
  ),
  storage_error: kind(500, 'server_error', 'The store could not be read or written; the message names the file.'),
  digest_mismatch: kind(
    500,
    'server_error',
    'Stored bytes changed since they were accepted. Upload the version again.',
  ),
  internal: kind(500, 'server_error', 'A fault of the server; the log has the details under the request id.'),
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

export interface ErrorDetails {
  /** The field, tensor or file at fault. */
  readonly param?: string
  readonly retryAfterSeconds?: number
  readonly cause?: unknown
}

/** An error with a stable code: the only kind that reaches a client with its message. */
export class TroupeError extends Error {
  readonly code: ErrorCode
  readonly param: string | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'TroupeError'
    this.code = code
    this.param = details.param
    this.retryAfterSeconds = details.retryAfterSeconds
  }

  get status(): number {
    return ERRORS[this.code].status
  }
}

/** What a caught value says: the message of an error, the text of anything else that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
