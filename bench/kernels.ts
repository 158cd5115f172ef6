import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { buildBenchmark } from '../native/build/programs.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { begin } from './begin.ts'

begin()
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    format: { type: 'string', default: '' },
    json: { type: 'string' },
  },
})

const program = await buildBenchmark()
const { stdout, status } = spawnSync(program, [options.rounds, options.threads, options.format], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
  timeout: 600_000,
})
if (status !== 0) throw new Error(`${program} ended with ${status}`)

const rows = stdout
  .trim()
  .split('\n')
  .map((line): Row => {
    const [name, value, unit] = line.split('\t')
    return { name: name!, value: Number(value), unit: unit!, target: null, met: null }
  })
report('npm run bench:kernels', rows, options.json)
