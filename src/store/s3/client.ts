import { S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { TroupeError } from '../../core/errors.ts'

const CONNECT_MS = 3_000
/** Without a byte for so long a connection is dead. The whole of a request may take longer: files are large. */
const SILENCE_MS = 10_000
/** A store that is gone is to be noticed soon, and whoever asks can ask again. */
const TRIES = 2

/** What people meet, by the name of the service's error, and what to do. */
const EXPLAINED: Readonly<Record<string, string>> = {
  NoSuchBucket: 'the bucket does not exist: create it first',
  AccessDenied: 'access is denied: the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket',
  InvalidAccessKeyId: 'the access key is unknown: check AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'the secret key is wrong: check AWS_SECRET_ACCESS_KEY',
  RequestTimeTooSkewed: 'the clock of this machine differs too much from the store’s: set it right',
  CredentialsProviderError: 'there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
}

/** A client whose endpoint, region and credentials come from where every client of this kind looks for them. */
export function newS3Client(): S3Client {
  return new S3Client({
    region: process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
    // Servers on premises know buckets as the first part of the path.
    forcePathStyle: true,
    // Most of them do not know the checksums that newer clients send unasked.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: TRIES,
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
  })
}

/**
 * The parts of `s3://bucket/prefix`; the prefix, if there is one, ends with a slash.
 *
 * @throws TroupeError `invalid_config`
 */
export function parseBucket(url: string): { readonly bucket: string; readonly prefix: string } {
  const parsed = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/?$/.exec(url)
  if (parsed?.[1]) return { bucket: parsed[1], prefix: parsed[2] ? `${parsed[2]}/` : '' }
  const message = `${JSON.stringify(url)} is not a bucket: write s3://bucket or s3://bucket/prefix`
  throw new TroupeError('invalid_config', message, { param: 'store' })
}

/** What went wrong, as people can act on it. */
export function explainS3(cause: unknown): string {
  const { name, message } = cause instanceof Error ? cause : { name: '', message: String(cause) }
  return EXPLAINED[name] ?? ((message === '' || message === name ? connectionCode(cause) : message) || name)
}

/** HTTP status of an answer; null = there was none. */
export function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null
}

/** What the system said where a connection failed: several addresses fail with one error without a text. */
function connectionCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? `no connection (${String(error.code)})` : ''
}
