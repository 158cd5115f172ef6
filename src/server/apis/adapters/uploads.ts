import multipart from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { TroupeError } from '../../../core/errors.ts'
import { parseJsonObject } from '../../../core/json.ts'
import { readNotes } from '../../../registry/adapter-notes.ts'
import type { VersionNotes } from '../../../registry/adapter-notes.ts'
import type { Staging } from '../../../registry/store/port.ts'
import { assertMayAlter } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { VersionSchema } from './schema.ts'
import { Name, Strict, errorResponses } from '../../wire/common.ts'
import { addNewVersion } from './new-version.ts'

const schema = {
  operationId: 'uploadAdapterVersion',
  tags: ['adapters'],
  summary: 'Upload the files of one adapter as a new version',
  description:
    'PEFT: `adapter_config.json` and `adapter_model.safetensors`; AdapterHub: `adapter_config.json` and `model.safetensors`. ' +
    'The names of the form’s fields do not matter, the files’ own names do. The same bytes again are the same version.',
  consumes: ['multipart/form-data'],
  params: Strict({ name: Name }),
  body: Type.Object(
    {
      files: Type.Array(Type.String({ format: 'binary' })),
      description: Type.Optional(Type.String()),
      labels: Type.Optional(Type.String({ description: 'A JSON object of texts.' })),
    },
    { title: 'AdapterFiles', additionalProperties: true },
  ),
  response: {
    200: VersionSchema('These bytes already were this version.'),
    201: VersionSchema('A new version, validated and ready.'),
    ...errorResponses(400, 401, 403, 409, 413, 415, 500),
  },
}

/** `POST /v1/adapters/{name}/versions`. In a scope of its own: only here are multipart bodies taken. */
export async function adapterUploadRoutes(app: App, deps: ServerDeps): Promise<void> {
  await app.register(multipart, { limits: { fileSize: Infinity, files: 64, fields: 16, parts: 80 } })
  // The body is a stream that the handler reads: its schema is documentation.
  const validator = app.validatorCompiler
  const options = {
    schema,
    validatorCompiler: (route: Parameters<NonNullable<typeof validator>>[0]) =>
      route.httpPart === 'body' || !validator ? () => true : validator(route),
  }

  app.post('/v1/adapters/:name/versions', options, async (request, reply) => {
    const { caller, params } = request
    assertMayAlter(caller, params.name)
    const { status, body } = await addNewVersion(deps, params.name, { source: 'upload', caller }, (staging) =>
      receiveFiles(request, staging, deps.settings.uploadLimitBytes),
    )
    return reply.code(status).send(body)
  })
}

/** Streams every file of the form into the staging folder; `limit` = bytes of all of them together. */
async function receiveFiles(request: FastifyRequest, staging: Staging, limit: number): Promise<VersionNotes> {
  if (!request.isMultipart())
    throw new TroupeError('unsupported_media_type', 'send the files as multipart/form-data, for example with `curl -F`')
  const announced = Number(request.headers['content-length'] ?? 0)
  if (announced > limit + MULTIPART_OVERHEAD_BYTES) throw tooLarge(limit)
  let room = limit
  let notes: VersionNotes = {}
  let files = 0
  for await (const part of request.parts()) {
    if (part.type === 'field') {
      notes = { ...notes, ...noteField(part.fieldname, part.value) }
      continue
    }
    files += 1
    room -= await staging.write(part.filename, part.file, room)
  }
  if (files === 0)
    throw new TroupeError('invalid_request', 'the form has no files: send the config and the weights of one adapter', {
      param: 'files',
    })
  return notes
}

function noteField(name: string, value: unknown): VersionNotes {
  const text = typeof value === 'string' ? value : ''
  if (name === 'description') return readNotes({ description: text })
  if (name === 'labels') return readNotes({ labels: parseJsonObject(text, 'labels', 'invalid_request') })
  throw new TroupeError(
    'invalid_request',
    `the form has a text field \`${name}\`: taken are files with their file names, \`description\` and \`labels\` (a JSON object)`,
    { param: name },
  )
}

/** Boundaries and part headers, generously. */
const MULTIPART_OVERHEAD_BYTES = 64 * 1024

function tooLarge(limit: number): TroupeError {
  return new TroupeError('upload_too_large', `the upload is larger than the configured limit of ${limit} bytes`)
}
