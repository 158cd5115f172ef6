import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ProgressLine } from '../src/cli/progress-line.ts'
import { BENCH_PRECISIONS, BenchContext } from './context.ts'
import { writeDocument } from './document.ts'
import type { Group } from './groups.ts'
import { unmeasured } from './groups.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { WrongFlag, begin } from './begin.ts'
import { BANDWIDTH } from './rows/bandwidth.ts'
import { COLD } from './rows/cold.ts'
import { DECODE } from './rows/decode.ts'
import { EIGHT_BILLION_ROWS } from './rows/eight-billion.ts'
import { FIRST_KIND } from './rows/first-kind.ts'
import { EARLIER } from './rows/earlier.ts'
import { GAP } from './rows/gap.ts'
import { MEMORY } from './rows/memory.ts'
import { OVERHEAD } from './rows/overhead.ts'
import { PEFT } from './rows/peft.ts'
import { PEERS } from './rows/peers.ts'
import { PREFIX } from './rows/prefix.ts'
import { PUBLISHED } from './rows/published.ts'
import { SPECULATION } from './rows/speculation.ts'
import { STORE } from './rows/store.ts'
import { EIGHT_BILLION } from './synthetic/shapes.ts'

const GROUPS: readonly Group[] = [
  ...[
    PEERS,
    PEFT,
    DECODE,
    BANDWIDTH,
    OVERHEAD,
    GAP,
    COLD,
    FIRST_KIND,
    MEMORY,
    STORE,
    PREFIX,
    SPECULATION,
    EARLIER,
    PUBLISHED,
  ],
  EIGHT_BILLION_ROWS,
]
/** Groups that must be asked for: they take long, or another checkout or model. */
const ON_DEMAND: readonly Group[] = [EARLIER, PUBLISHED, EIGHT_BILLION_ROWS]
const STANDARD = 'int4'
/** Groups that have a model of their own and give the same in every precision. */
const OF_THEIR_OWN: readonly Group[] = [SPECULATION]
const REPOSITORY = join(import.meta.dirname, '..')

begin()
const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    precision: { type: 'string', default: STANDARD },
    rows: { type: 'string' },
    rounds: { type: 'string' },
    dir: { type: 'string', default: join(REPOSITORY, '.cache/bench') },
    earlier: { type: 'string' },
    published: { type: 'string' },
    'peft-python': { type: 'string' },
    json: { type: 'string' },
  },
})

const precision = BENCH_PRECISIONS.find((name) => name === options.precision)
if (precision === undefined)
  throw new WrongFlag(`--precision takes ${BENCH_PRECISIONS.join(', ')}, not ${options.precision}`)

/** The rows asked for by their own names or their groups'; all without. */
function chosenRows(names: string | undefined): Map<Group, ReadonlySet<string>> {
  const chosen = new Map<Group, ReadonlySet<string>>()
  const known = GROUPS.flatMap(({ name, rows }) => [name, ...rows])
  const left = precision === STANDARD ? ON_DEMAND : [...ON_DEMAND, ...OF_THEIR_OWN]
  const wanted = names?.split(',') ?? GROUPS.filter((group) => !left.includes(group)).map(({ name }) => name)
  const unknown = wanted.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new WrongFlag(`--rows knows no "${unknown}"; there are ${known.join(', ')}`)
  for (const group of GROUPS) {
    const rows = group.rows.filter((row) => wanted.includes(row) || wanted.includes(group.name))
    if (rows.length > 0) chosen.set(group, new Set(rows))
  }
  return chosen
}

function count(flag: string, value: string | undefined, standard: number): number {
  const number = Number(value ?? standard)
  if (Number.isInteger(number) && number > 0) return number
  throw new WrongFlag(`--${flag} takes a whole number above 0, not ${value}`)
}

const { quick } = options
const groups = chosenRows(options.rows)
const rounds = count('rounds', options.rounds, quick ? 1 : 5)
const sizes = { warmUps: 1, promptTokens: 32, newTokens: quick ? 20 : 64 }
const context = new BenchContext({
  ...{ dir: resolve(options.dir), precision, rounds, quick, ...sizes },
  peftPython: options['peft-python'] ?? null,
  earlier: options.earlier ?? null,
  published: options.published ?? null,
  large: EIGHT_BILLION,
})
const rows: Row[] = []
try {
  for (const [group, names] of groups) {
    const line = new ProgressLine(group.name, process.stderr, () => performance.now(), String)
    try {
      rows.push(...(await group.run(context, names, (...step) => line.update(...step))))
    } catch (error) {
      // The others still count, and the table says what is missing.
      const [message = ''] = String(error).split('\n')
      rows.push(...[...names].map((name) => unmeasured(name, '', null, `not measured: ${message}`)))
      console.error(error)
      process.exitCode = 1
    }
    line.finish()
  }
} finally {
  await context.close()
}
const command = ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ')
report(command, rows, options.json)
// Parts are for working on it; the document shows whole runs, with the command that made them.
if (options.rows === undefined) writeDocument(join(REPOSITORY, 'docs/benchmarks.md'), precision, command, rows)
