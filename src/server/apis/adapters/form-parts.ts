import type { FastifyRequest } from 'fastify'
import { TroupeError } from '../../../core/errors.ts'

/** One part of a form, files as bytes. */
export type FormPart =
  | { readonly type: 'field'; readonly name: string; readonly value: unknown }
  | { readonly type: 'file'; readonly name: string; readonly content: AsyncIterable<Uint8Array> }

/**
 * The parts of a multipart form, one after another. Every part must be read before the next.
 *
 * @throws TroupeError `invalid_request` for a form that is cut off or not written as its header says
 */
export async function* formParts(request: FastifyRequest): AsyncGenerator<FormPart, void, void> {
  for await (const part of orMalformed(request.parts()))
    yield part.type === 'field'
      ? { type: 'field', name: part.fieldname, value: part.value }
      : { type: 'file', name: part.filename, content: orMalformed<Uint8Array>(part.file) }
}

/** What the parser of forms complains about is the sender's mistake. */
async function* orMalformed<T>(parts: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  try {
    yield* parts
  } catch (error) {
    // The framework's own errors have a status.
    if (!(error instanceof Error) || error instanceof TroupeError || 'statusCode' in error) throw error
    throw new TroupeError(
      'invalid_request',
      `the form cannot be read: ${error.message}; its parts must be those that the boundary in its content-type parts, with lines that end in CR LF`,
      { cause: error },
    )
  }
}
