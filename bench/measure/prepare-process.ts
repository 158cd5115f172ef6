import { prepareModel } from '../../src/model/prepare.ts'
import type { PrepareOptions } from '../../src/model/prepare.ts'

/** What preparing a model took. */
export interface Preparation {
  /** Of all threads. */
  readonly cpuSeconds: number
  readonly seconds: number
  /** Largest resident set, pages of files included. */
  readonly mostBytes: number
}

/** Prepares a model in a process of its own, so that it can be measured: answers the one message that it gets, and ends. */
process.on('message', (options: PrepareOptions) => {
  const began = performance.now()
  void prepareModel(options).then(() => {
    const { user, system } = process.cpuUsage()
    const answer: Preparation = {
      cpuSeconds: (user + system) / 1e6,
      seconds: (performance.now() - began) / 1000,
      mostBytes: process.resourceUsage().maxRSS * 1024,
    }
    process.send!(answer, () => process.exit())
  })
})
