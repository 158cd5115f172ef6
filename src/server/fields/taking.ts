import type { FastifyReply, FastifyRequest, preValidationHookHandler } from 'fastify'
import type { TSchema } from 'typebox'
import type { SchemaNode } from './branch.ts'
import type { OpenAiApi } from './rule.ts'
import { takeFields } from './take-fields.ts'

/** Fields of a request that had no effect, comma-separated. */
export const IGNORED_HEADER = 'x-troupe-ignored'

/** Names a header can carry; clients choose their fields freely. */
const HEADER_UNSAFE = /[^\w.[\]-]/g
const MAX_NAME = 64
const MAX_NAMED = 32

/** Route options of an OpenAI-shaped API: its body goes through the table before it is validated. */
export function taking(
  api: OpenAiApi,
  { body }: { readonly body: TSchema },
  strict: boolean,
): {
  readonly preValidation: preValidationHookHandler
} {
  return {
    preValidation: (request: FastifyRequest, reply: FastifyReply, done) => {
      try {
        const taken = takeFields(api, body as SchemaNode, request.body, strict)
        request.body = taken.body
        nameIgnored(reply, taken.ignored)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  }
}

/** Adds fields to those that the answer's header names as having had no effect. */
export function nameIgnored(reply: FastifyReply, fields: readonly string[]): void {
  const before = reply.getHeader(IGNORED_HEADER)
  const named = typeof before === 'string' ? before.split(', ') : []
  const more = fields.map((field) => field.slice(0, MAX_NAME).replace(HEADER_UNSAFE, '_'))
  const all = [...new Set([...named, ...more])].slice(0, MAX_NAMED)
  if (all.length > 0) reply.header(IGNORED_HEADER, all.join(', '))
}
