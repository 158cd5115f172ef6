import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { endAtExit } from './at-exit.ts'

const PYTHON = process.env.PYTHON_WITH_MOTO ?? 'python3'
const START_MS = 20_000

/** Why there is no server of buckets for tests; null = there can be one. */
export function noBuckets(): string | null {
  const { status } = spawnSync(PYTHON, ['-c', 'import moto.server'], { stdio: 'ignore' })
  return status === 0
    ? null
    : `${PYTHON} has no moto: pip install 'moto[server]' (PYTHON_WITH_MOTO names another Python)`
}

/** A server of buckets on a free loopback port, whose content goes with it. */
export class BucketServer {
  readonly url: string
  readonly #client: S3Client
  readonly #kill: () => void
  #buckets = 0

  private constructor(url: string, kill: () => void) {
    this.url = url
    this.#kill = kill
    this.#client = new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true })
  }

  /** Starts it and makes it the one that stores of this process, and of those it starts, use. */
  static async start(): Promise<BucketServer> {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const args = ['-m', 'moto.server', '-H', '127.0.0.1', '-p', `${port}`]
    const child = endAtExit(spawn(PYTHON, args, { stdio: 'ignore' }))
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_S3: url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    })
    for (let waited = 0; ; waited += 100) {
      if (
        await fetch(url).then(
          ({ ok }) => ok,
          () => false,
        )
      )
        break
      if (waited > START_MS) throw new Error('the server of buckets does not start')
      await sleep(100)
    }
    return new BucketServer(url, () => void child.kill('SIGKILL'))
  }

  /** The location of a new store: a part of a bucket. */
  async newStore(): Promise<string> {
    const name = `bucket-${++this.#buckets}`
    await this.#client.send(new CreateBucketCommand({ Bucket: name }))
    return `s3://${name}/troupe`
  }

  stop(): void {
    this.#client.destroy()
    this.#kill()
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
