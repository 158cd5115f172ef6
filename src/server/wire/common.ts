import { Type } from 'typebox'
import type { TProperties, TSchema } from 'typebox'
import { ERRORS } from '../../core/errors.ts'
import { NAME_PART_PATTERN, NAME_PATTERN } from '../../catalogue/names.ts'
import { REFERENCE_PATTERN, REFERENCE_RULE } from '../../catalogue/reference.ts'

/** An object that refuses every field it does not name. */
export function Strict<T extends TProperties>(
  properties: T,
  options: { title?: string; description?: string; examples?: unknown[] } = {},
) {
  return Type.Object(properties, { additionalProperties: false, ...options })
}

/** An object of an OpenAI-shaped body: fields it does not name are dealt with by `takeFields`. */
export function Open<T extends TProperties>(
  properties: T,
  options: { title?: string; description?: string; examples?: unknown[] } = {},
) {
  return Type.Object(properties, { additionalProperties: true, ...options })
}

/** An optional field in which `null` means the same as leaving it out. */
export function Maybe<T extends TSchema>(schema: T) {
  return Type.Optional(Type.Union([schema, Type.Null()]))
}

const NAME_RULE = 'lower-case letters, digits, `.`, `_` and `-`, with at most one `/` between owner and name'

/** Name of an adapter or task. */
export const Name = Type.String({ pattern: NAME_PATTERN, maxLength: 128, description: NAME_RULE })

/** Name of a tenant. */
export const TenantName = Type.String({
  pattern: NAME_PART_PATTERN,
  maxLength: 63,
  description: 'Lower-case letters, digits, `.`, `_` and `-`.',
})

/** Whom an adapter or task is shared with. */
export const SharedWith = Type.Array(Type.String({ pattern: `${NAME_PART_PATTERN}|^\\*$` }), {
  maxItems: 1_000,
  uniqueItems: true,
  description: 'Tenants beside the owner that see and use it; `*` = all. Others are shown only themselves.',
})

/** A version as clients write it. */
export const VersionRef = Type.Union(
  [
    Type.Integer({ minimum: 1 }),
    Type.String({ pattern: REFERENCE_PATTERN, maxLength: 80, description: REFERENCE_RULE }),
  ],
  { description: `Version: ${REFERENCE_RULE}.` },
)

export const ErrorBody = Strict(
  {
    error: Strict({
      message: Type.String({ description: 'What is wrong, and how to put it right.' }),
      type: Type.String(),
      code: Type.Enum(Object.keys(ERRORS) as (keyof typeof ERRORS)[], { description: 'Stable; see docs/errors.md.' }),
      param: Type.Union([Type.String(), Type.Null()], { description: 'The field, tensor or file at fault.' }),
      request_id: Type.String(),
    }),
  },
  { title: 'Error' },
)

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: 'The request is malformed; `param` names the field.',
  401: 'The API key is missing or unknown.',
  403: 'The API key may not do this.',
  404: 'No such resource, as far as this key can see.',
  405: 'The path exists, but not with this method.',
  409: 'The state of the resource does not allow this.',
  410: 'A version the request ran with was deleted, and its time to finish is over.',
  413: 'The body is too large.',
  415: 'The body has the wrong media type.',
  429: 'The tenant has too many requests open; see `Retry-After`.',
  500: 'A fault of the server.',
  503: 'The server is full, starting or stopping; see `Retry-After`.',
}

/** Response schemas of the given error statuses, all with the one envelope. */
export function errorResponses<S extends number>(...statuses: readonly S[]): Record<S, typeof ErrorResponse> {
  const entries = statuses.map((status) => [status, { ...ErrorResponse, description: STATUS_TEXT[status] }])
  return Object.fromEntries(entries) as Record<S, typeof ErrorResponse>
}

const ErrorResponse = ErrorBody
