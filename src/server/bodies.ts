import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { RequestPayload } from 'fastify'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { App } from './app.ts'

const JSON_TYPES = /^application\/(?:[\w.-]+\+)?json(?:;.*)?$/i
const BYTE_ORDER_MARK = /^\uFEFF/

/** How bodies are read: JSON with plain words about what is wrong with it, packed or not. */
export function installBodies(app: App): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(JSON_TYPES, { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, parseJson(text as string))
    } catch (error) {
      done(error as Error)
    }
  })
  app.addHook('preParsing', async (request, _reply, payload) => unpacked(payload, request.headers['content-encoding']))
}

/** An empty body is none: routes that need one say so. Throws `invalid_request`. */
function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined
  let forbidden: string | null = null
  let value: unknown
  try {
    value = JSON.parse(text.replace(BYTE_ORDER_MARK, ''), (key, item: unknown) => {
      if (key === '__proto__') forbidden = key
      return item
    })
  } catch (cause) {
    throw new TroupeError('invalid_request', `the body is not valid JSON: ${messageOf(cause)}`, { cause })
  }
  if (forbidden === null) return value
  throw new TroupeError('invalid_request', `\`${forbidden as string}\` is no name for a field: remove it`, {
    param: forbidden,
  })
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
}

/**
 * The body without its packing. The framework stops reading at its limit, and unpacking stops with it: a small body that unpacks to a huge
 * one is never held.
 */
function unpacked(payload: RequestPayload, encoding: string | undefined): RequestPayload {
  const name = encoding?.trim().toLowerCase() ?? 'identity'
  if (name === 'identity' || name === '') return payload
  const decoder = DECODERS[name]?.()
  if (!decoder)
    throw new TroupeError(
      'unsupported_media_type',
      `content-encoding \`${name}\` is not supported: send gzip, deflate, br or no packing`,
    )
  // The framework compares it with the announced length.
  const counted = Object.assign(decoder, { receivedEncodedLength: 0 })
  payload.on('data', (chunk: Buffer) => (counted.receivedEncodedLength += chunk.length))
  pipeline(payload as Readable, decoder, () => undefined)
  return counted
}
