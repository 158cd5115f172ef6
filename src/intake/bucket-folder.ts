import type { Readable } from 'node:stream'
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import { explainS3, newS3Client, parseBucket } from '../store/s3/client.ts'
import type { FolderEntry } from './folder-report.ts'
import type { RemoteFolder } from './folder-source.ts'

/** What lies in a bucket below `s3://bucket/prefix`, read with the credentials of this server. */
export async function openBucketFolder(source: string, signal: AbortSignal): Promise<RemoteFolder> {
  const { bucket, prefix } = parseBucket(source)
  const client = newS3Client()
  signal.addEventListener('abort', () => client.destroy(), { once: true })
  const options = { abortSignal: signal }

  async function* files(): AsyncGenerator<FolderEntry, void, void> {
    for (let next: string | undefined, isMore = true; isMore;) {
      const page = { Bucket: bucket, Prefix: prefix, ...(next !== undefined && { ContinuationToken: next }) }
      const found = await explained(client.send(new ListObjectsV2Command(page), options))
      for (const { Key = '', Size = 0 } of found.Contents ?? []) {
        // What some clients make to show folders.
        if (!Key.endsWith('/')) yield { path: Key.slice(prefix.length), bytes: Size }
      }
      next = found.NextContinuationToken
      isMore = next !== undefined
    }
  }

  return Promise.resolve({
    files: files(),
    read: async (path) => {
      const answer = await explained(client.send(new GetObjectCommand({ Bucket: bucket, Key: prefix + path }), options))
      return answer.Body as Readable
    },
  })
}

async function explained<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    throw new Error(explainS3(cause), { cause })
  }
}
