import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { endAtExit } from '../../test/support/at-exit.ts'

/** Bytes per second that so many processes together read from memory: the best of some tries, as STREAM counts. */
export async function memoryBandwidth(readers: number, tries: number): Promise<number> {
  const processes = Array.from({ length: readers }, () => endAtExit(fork(join(import.meta.dirname, 'read-process.ts'))))
  try {
    let best = 0
    // The first try only brings them up together: one that reads alone has all of the bandwidth.
    await Promise.all(processes.map(readOnce))
    for (let n = 0; n < tries; n++) {
      const rates = await Promise.all(processes.map(readOnce))
      best = Math.max(
        best,
        rates.reduce((sum, rate) => sum + rate, 0),
      )
    }
    return best
  } finally {
    for (const process of processes) process.kill()
  }
}

function readOnce(process: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`a reader of memory ended with ${code}`))
    process.once('exit', onExit)
    process.once('message', (rate: number) => {
      process.off('exit', onExit)
      resolve(rate)
    })
    process.send('read')
  })
}
