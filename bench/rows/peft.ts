import { ROWS, THREADS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, unmeasured } from '../groups.ts'
import { alternate, median } from '../measure/alternate.ts'
import { runBatch } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'
import { PeftPeer } from '../peers/peft-peer.ts'

const LOAD = `${ROWS} requests on ${ROWS} rank-16 adapters`
const RATIO = `${LOAD}, Troupe / transformers + peft`

/** The libraries that adapters are trained with, each row of their batch on its own adapter, in f32. */
export const PEFT: Group = {
  name: 'peft',
  rows: ['peer-peft'],
  run: async (context, _rows, progress) => {
    const { peftPython, promptTokens, newTokens } = context.options
    if (peftPython === null) {
      const note = 'not measured: --peft-python names a Python with torch, transformers and peft'
      return [unmeasured(RATIO, '×', null, note)]
    }
    const server = await context.server()
    const models = await context.adapters(server, 'rank-16', ROWS)
    const folders = models.map((_, index) => context.adapter('rank-16', index))
    const peer = await PeftPeer.open(peftPython, THREADS, context.model(), folders)
    try {
      const peft = async (): Promise<number> => {
        const prompts = models.map(() => freshPrompt(promptTokens))
        return (ROWS * newTokens) / (await peer.run(prompts, newTokens))
      }
      const troupe = async (): Promise<number> => (await runBatch(server, models, context.options)).perSecond
      const runs = new Map([
        [`${LOAD}, Troupe`, troupe],
        [`${LOAD}, transformers + peft`, peft],
      ])
      const samples = await alternate(runs, context.options, progress)
      const speeds = [...samples].map(([name, values]) => figure(name, median(values), 'tokens/s'))
      return [figure(RATIO, speeds[0]!.value! / speeds[1]!.value!, '×'), speeds[1]!]
    } finally {
      await peer.close()
    }
  },
}
