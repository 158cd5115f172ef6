import { join } from 'node:path'
import { startServerProcess } from '../../test/support/server-process.ts'
import type { ServerProcess } from '../../test/support/server-process.ts'
import { ROWS, THREADS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise, unmeasured } from '../groups.ts'
import { alternate, median } from '../measure/alternate.ts'
import { runBatch } from '../measure/batch.ts'

const TITLE = `${ROWS} requests on ${ROWS} rank-16 adapters, now / at commit cfd4f87`

/**
 * The engine of version 0.1 beside today's, by turns. It takes a built checkout of that commit:
 *
 *     git worktree add DIR cfd4f87 && (cd DIR && npm ci && npm run build)
 *     npm run bench -- --rows earlier --earlier DIR
 */
export const EARLIER: Group = {
  name: 'earlier',
  rows: ['earlier'],
  run: async (context, _rows, progress) => {
    const { earlier } = context.options
    if (earlier === null) return [unmeasured(TITLE, '×', '≥ 2.4', 'not measured: --earlier names no checkout')]
    const names = await context.adapters(await context.server(), 'rank-16', ROWS)
    const now = await context.server()
    const before = await startEarlier(earlier, context.model(), context.path('store-0.1'), context.path('prepared-0.1'))
    try {
      await context.adapters(before, 'rank-16', ROWS)
      const run = (server: ServerProcess) => async (): Promise<number> =>
        (await runBatch(server, names, context.options)).perSecond
      const runs = new Map([
        ['now', run(now)],
        ['before', run(before)],
      ])
      const samples = await alternate(runs, context.options, progress)
      const [speedNow, speedBefore] = [median(samples.get('now')!), median(samples.get('before')!)]
      return [
        promise(TITLE, speedNow / speedBefore, '×', { least: 2.4 }),
        figure(`${ROWS} requests on ${ROWS} rank-16 adapters, at commit cfd4f87`, speedBefore, 'tokens/s'),
      ]
    } finally {
      await before.kill()
    }
  },
}

async function startEarlier(checkout: string, model: string, store: string, cache: string): Promise<ServerProcess> {
  const sizes = ['--threads', `${THREADS}`, '--max-batch', `${ROWS}`, '--max-context', '1024']
  const flags = [
    '--precision',
    'int4',
    ...sizes,
    '--memory-bytes',
    '3GiB',
    '--bank-bytes',
    '3GiB',
    '--cache-dir',
    cache,
  ]
  return startServerProcess(model, store, flags, join(checkout, 'dist/cli/main.js'))
}
