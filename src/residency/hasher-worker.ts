import { parentPort } from 'node:worker_threads'
import { sha256Open } from '../adapters/digest.ts'
import type { Hashed } from './hasher.ts'

const port = parentPort
if (!port) throw new Error('hasher-worker runs as a thread only')

port.on('message', (fd: number) => port.postMessage({ fd, sha256: attempt(fd) } satisfies Hashed))

/** Null where the file cannot be read: whoever asked finds out why. */
function attempt(fd: number): string | null {
  try {
    return sha256Open(fd)
  } catch {
    return null
  }
}
