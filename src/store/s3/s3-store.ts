import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { TroupeError } from '../../core/errors.ts'
import type { Body, Store } from '../port.ts'
import { checkKey } from '../port.ts'

const CONNECT_MS = 3_000
const ANSWER_MS = 20_000
/** Tries of a put that met another one at the same moment (409), or whose file has to be sent again. */
const TRIES = 5
const FIRST_PAUSE_MS = 50

/** What people meet, by the name of the service's error, and what to do. */
const EXPLAINED: Readonly<Record<string, string>> = {
  NoSuchBucket: 'the bucket does not exist: create it first',
  AccessDenied: 'access is denied: the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket',
  InvalidAccessKeyId: 'the access key is unknown: check AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'the secret key is wrong: check AWS_SECRET_ACCESS_KEY',
  RequestTimeTooSkewed: 'the clock of this machine differs too much from the store’s: set it right',
  CredentialsProviderError: 'there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
}

/** A bucket, or a part of one, as a store. Endpoint, region and credentials come from where every client of this kind looks for them. */
export class S3Store implements Store {
  readonly name: string
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string

  /** @param url `s3://bucket` or `s3://bucket/prefix` */
  constructor(url: string) {
    const parsed = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/?$/.exec(url)
    if (!parsed?.[1]) {
      const message = `${JSON.stringify(url)} is no bucket: write s3://bucket or s3://bucket/prefix`
      throw new TroupeError('invalid_config', message, { param: 'store' })
    }
    this.name = url
    this.#bucket = parsed[1]
    this.#prefix = parsed[2] ? `${parsed[2]}/` : ''
    this.#client = new S3Client({
      region: process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
      // Servers on premises know buckets as the first part of the path.
      forcePathStyle: true,
      // Most of them do not know the checksums that newer clients send unasked.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: ANSWER_MS },
    })
  }

  async put(key: string, body: Body): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#client.send(new PutObjectCommand({ ...this.#at(key), IfNoneMatch: '*', ...(await content(body)) }))
        return true
      } catch (error) {
        const status = statusOf(error)
        if (status === 412) return false
        const isWorthIt = status === 409 || (!(body instanceof Uint8Array) && (status === null || status >= 500))
        if (!isWorthIt || attempt === TRIES) throw this.#failed('write', key, error)
        await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random()))
      }
    }
  }

  async get(key: string): Promise<Uint8Array | null> {
    return this.#read(key, async ({ Body: body }) => (await body?.transformToByteArray()) ?? new Uint8Array())
  }

  async fetch(key: string, path: string): Promise<boolean> {
    const found = await this.#read(key, async ({ Body: body }) => {
      await pipeline(body as Readable, createWriteStream(path, { flags: 'wx' })).catch(async (error: unknown) => {
        await rm(path, { force: true })
        throw error
      })
      return true
    })
    return found ?? false
  }

  async list(prefix: string, after?: string): Promise<readonly string[]> {
    const keys: string[] = []
    let next: string | undefined
    do {
      const page = {
        Bucket: this.#bucket,
        Prefix: this.#prefix + prefix,
        ...(next === undefined
          ? after !== undefined && { StartAfter: this.#prefix + after }
          : { ContinuationToken: next }),
      }
      try {
        const { Contents: found = [], NextContinuationToken } = await this.#client.send(new ListObjectsV2Command(page))
        for (const { Key: key } of found) if (key !== undefined) keys.push(key.slice(this.#prefix.length))
        next = NextContinuationToken
      } catch (error) {
        throw this.#failed('list', prefix, error)
      }
    } while (next !== undefined)
    return keys.sort()
  }

  async delete(key: string): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand(this.#at(key)))
    } catch (error) {
      throw this.#failed('delete', key, error)
    }
  }

  async close(): Promise<void> {
    this.#client.destroy()
  }

  async #read<T>(key: string, use: (answer: GetObjectCommandOutput) => Promise<T>): Promise<T | null> {
    try {
      return await use(await this.#client.send(new GetObjectCommand(this.#at(key))))
    } catch (error) {
      if (error instanceof S3ServiceException && error.name === 'NoSuchKey') return null
      throw this.#failed('read', key, error)
    }
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    checkKey(key)
    return { Bucket: this.#bucket, Key: this.#prefix + key }
  }

  #failed(action: string, key: string, cause: unknown): TroupeError {
    const { name, message } = cause instanceof Error ? cause : { name: '', message: String(cause) }
    const detail = EXPLAINED[name] ?? ((message === '' || message === name ? connectionCode(cause) : message) || name)
    return new TroupeError('storage_error', `cannot ${action} ${this.name}/${key}: ${detail}`, {
      param: this.name,
      cause,
    })
  }
}

async function content(body: Body): Promise<{ Body: Uint8Array | Readable; ContentLength: number }> {
  if (body instanceof Uint8Array) return { Body: body, ContentLength: body.byteLength }
  return { Body: createReadStream(body.file), ContentLength: (await stat(body.file)).size }
}

/** HTTP status of an answer; null = there was none. */
function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null
}

/** What the system said where a connection failed: several addresses fail with one error without a text. */
function connectionCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? `no connection (${String(error.code)})` : ''
}
