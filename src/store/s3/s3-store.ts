import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { TroupeError } from '../../core/errors.ts'
import type { Body, Store } from '../port.ts'
import { checkKey } from '../port.ts'
import { explainS3, newS3Client, parseBucket, statusOf } from './client.ts'

/** Tries of a put that met another one at the same moment (409), or whose file has to be sent again. */
const TRIES = 5
const FIRST_PAUSE_MS = 50

/** A bucket, or a part of one, as a store. Endpoint, region and credentials come from where every client of this kind looks for them. */
export class S3Store implements Store {
  readonly name: string
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string

  /** @param url `s3://bucket` or `s3://bucket/prefix` */
  constructor(url: string) {
    const { bucket, prefix } = parseBucket(url)
    this.name = url
    this.#bucket = bucket
    this.#prefix = prefix
    this.#client = newS3Client()
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
    const message = `cannot ${action} ${this.name}/${key}: ${explainS3(cause)}`
    return new TroupeError('storage_error', message, { param: this.name, cause })
  }
}

async function content(body: Body): Promise<{ Body: Uint8Array | Readable; ContentLength: number }> {
  if (body instanceof Uint8Array) return { Body: body, ContentLength: body.byteLength }
  return { Body: createReadStream(body.file), ContentLength: (await stat(body.file)).size }
}
