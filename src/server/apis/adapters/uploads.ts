import { Readable } from 'node:stream'
import multipart from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { TroupeError } from '../../../core/errors.ts'
import { parseJsonObject } from '../../../core/json.ts'
import { readNotes } from '../../../catalogue/changes.ts'
import type { Notes } from '../../../catalogue/version.ts'
import type { FolderReport } from '../../../intake/folder-report.ts'
import { FormFiles } from '../../../intake/form-files.ts'
import type { Staging } from '../../../intake/staging.ts'
import { takeFiles } from '../../../intake/take-files.ts'
import { originOf } from '../../wire/origin.ts'
import { assertMayAlterAdapter, assertMayAlterTask } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { formParts } from './form-parts.ts'
import { NotesFields, UploadedSchema, reportBody } from './schema.ts'
import type { VersionBody } from './schema.ts'
import { Name, Strict, errorResponses } from '../../wire/common.ts'
import { addNewVersion } from './new-version.ts'

/** An archive may also be the body itself. */
const ARCHIVE_TYPES = ['application/zip', 'application/gzip', 'application/x-tar'] as const

const AdapterFiles = Type.Object(
  {
    files: Type.Array(Type.String({ format: 'binary' })),
    description: Type.Optional(Type.String()),
    labels: Type.Optional(Type.String({ description: 'A JSON object of texts.' })),
  },
  { title: 'AdapterFiles', additionalProperties: true },
)
const Archive = Type.String({ format: 'binary' })
const AdapterReference = Strict(
  {
    source: Type.String({
      maxLength: 1_024,
      description:
        '`hf:organisation/name@revision` of a Hugging Face hub, or `s3://bucket/prefix`: a place that the setting `adapterSources` allows.',
    }),
    ...NotesFields,
  },
  { title: 'AdapterReference' },
)

const schema = {
  operationId: 'uploadAdapterVersion',
  tags: ['adapters'],
  summary: 'Upload the files of one adapter as a new version, or say where they are',
  description:
    'All files of the folder that a trainer saved, or a .zip, .tar or .tar.gz of it. Taken are `adapter_config.json` and the weights: ' +
    '`adapter_model.safetensors` of PEFT, `adapter.safetensors` of AdapterHub; `report` names the rest. ' +
    'The names of the form’s fields do not matter, the files’ own names do. The same bytes again are the same version. ' +
    'Instead of files a JSON body may say where they are to be fetched from.',
  params: Strict({ name: Name }),
  querystring: Strict({
    allow_base_mismatch: Type.Optional(
      Type.Boolean({ description: 'Take it although it names another base model, with a warning.' }),
    ),
    activate: Type.Optional({
      ...Name,
      description: 'A task to send to this version at once; made if there is none. The answer comes when it serves.',
    }),
  }),
  body: {
    content: {
      'multipart/form-data': { schema: AdapterFiles },
      ...Object.fromEntries(ARCHIVE_TYPES.map((type) => [type, { schema: Archive }])),
      'application/json': { schema: AdapterReference },
    },
  },
  response: {
    200: UploadedSchema('These bytes already were this version.'),
    201: UploadedSchema('A new version, validated and ready.'),
    ...errorResponses(400, 401, 403, 404, 409, 413, 415, 500, 502, 503),
  },
}

interface Received {
  readonly notes: Notes
  readonly report: FolderReport
}

/** `POST /v1/adapters/{name}/versions`. In a scope of its own: only here are multipart bodies taken. */
export async function adapterUploadRoutes(app: App, deps: ServerDeps): Promise<void> {
  await app.register(multipart, {
    limits: { fileSize: Infinity, files: 2_000, fields: 16, parts: 2_016 },
    preservePath: true,
  })
  app.addContentTypeParser([...ARCHIVE_TYPES], (_request, payload, done) => done(null, payload))
  // But for JSON the body is a stream that the handler reads: its schema is documentation.
  const validator = app.validatorCompiler
  const options = {
    schema,
    validatorCompiler: (route: Parameters<NonNullable<typeof validator>>[0]) =>
      (route.httpPart === 'body' && route.contentType !== 'application/json') || !validator
        ? () => true
        : validator(route),
  }

  app.post('/v1/adapters/:name/versions', options, async (request, reply) => {
    const { caller, params, query } = request
    const { state } = deps.catalogue
    assertMayAlterAdapter(state, caller, params.name)
    if (query.activate !== undefined) assertMayAlterTask(state, caller, query.activate)
    let report = null as FolderReport | null
    const allowBaseMismatch = query.allow_base_mismatch ?? false
    const reference = referenceIn(request)
    const source = reference ? 'reference' : 'upload'
    const arrival = { source, ...originOf(request), allowBaseMismatch } as const
    const { status, body } = await addNewVersion(deps, params.name, arrival, async (staging) => {
      const received = await (reference
        ? fetchFiles(deps, reference, staging, request.signal)
        : receiveFiles(request, staging, deps.settings.uploadLimitBytes))
      report = received.report
      return received.notes
    })
    const activated =
      query.activate === undefined ? null : await activate(deps, query.activate, body, originOf(request))
    return reply.code(status).send({ ...body, report: report && reportBody(report, body.warnings), activated })
  })
}

/** Sends a task's requests to a version that was just taken, with its weights in memory. */
async function activate(
  { catalogue, changes, residency }: ServerDeps,
  task: string,
  { adapter, version }: VersionBody,
  origin: ReturnType<typeof originOf>,
) {
  const lease = await residency.acquire(catalogue.resolve({ model: `${adapter}@${version}` }, '*'))
  try {
    const choice = { adapter, version: Number(version.slice(1)) }
    const known = catalogue.listTasks('*').some(({ name }) => name === task)
    const { task: record } = known
      ? await changes.activate(task, choice, origin)
      : await changes.putTask(task, { routes: [choice] }, origin)
    return { task: record.name, revision: record.revision }
  } finally {
    lease.release()
  }
}

/** The body of a request that has no files but says where they are; null = it is another one. */
function referenceIn(request: FastifyRequest): Static<typeof AdapterReference> | null {
  const isJson = request.headers['content-type']?.startsWith('application/json') ?? false
  return isJson ? (request.body as Static<typeof AdapterReference>) : null
}

/** What is fetched says where it came from, unless the request says something else. */
async function fetchFiles(
  { sources, settings }: ServerDeps,
  { source, ...notes }: Static<typeof AdapterReference>,
  staging: Staging,
  signal: AbortSignal,
): Promise<Received> {
  const report = await sources.fetch(source, staging.dir, settings.uploadLimitBytes, signal)
  return { notes: { description: `from ${source}`, ...readNotes(notes) }, report }
}

/** Puts the adapter's own files among those of the form into the staging folder; `limit` = bytes of all of them together. */
async function receiveFiles(request: FastifyRequest, staging: Staging, limit: number): Promise<Received> {
  const announced = Number(request.headers['content-length'] ?? 0)
  if (announced > limit + MULTIPART_OVERHEAD_BYTES) throw tooLarge(limit)
  const files = new FormFiles(staging.dir, limit)
  let notes: Notes = {}
  if (!request.isMultipart()) {
    if (!(request.body instanceof Readable)) throw noFiles()
    await files.add('archive.zip', request.body)
  } else
    for await (const part of formParts(request)) {
      if (part.type === 'field') notes = { ...notes, ...noteField(part.name, part.value) }
      else await files.add(part.name, part.content)
    }
  const report = await takeFiles(await files.source(), staging.dir)
  await files.clear()
  return { notes, report }
}

function noteField(name: string, value: unknown): Notes {
  const text = typeof value === 'string' ? value : ''
  if (name === 'description') return readNotes({ description: text })
  if (name === 'labels') return readNotes({ labels: parseJsonObject(text, 'labels', 'invalid_request') })
  throw new TroupeError(
    'invalid_request',
    `the form has a text field \`${name}\`: fields are \`description\` and \`labels\` (a JSON object); each file part needs a file name`,
    { param: name },
  )
}

function noFiles(): TroupeError {
  const text = `send the files as multipart/form-data, for example with \`curl -F\`, or one archive as ${ARCHIVE_TYPES.join(', ')}`
  return new TroupeError('unsupported_media_type', text)
}

/** Boundaries and part headers, generously. */
const MULTIPART_OVERHEAD_BYTES = 64 * 1024

function tooLarge(limit: number): TroupeError {
  return new TroupeError('upload_too_large', `the upload is larger than the configured limit of ${limit} bytes`)
}
