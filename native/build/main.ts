import { parseArgs } from 'node:util'
import type { Target } from './flags.ts'
import { TARGETS } from './flags.ts'
import { requireZig } from './compiler.ts'
import { comparePrebuilds, writePrebuilds } from './prebuilds.ts'
import { anyCompiler, testEmulated, testKernels, testSanitized } from './programs.ts'

const USAGE = `npm run native [-- options]
  no option            build the addon for all platforms into native/prebuilds
  --target <platform>  only that one (${Object.keys(TARGETS).join(', ')}); may be repeated
  --compare            build, and compare with native/prebuilds instead of writing there
  --test               build and run the tests of the kernels
  --sanitize           the same under address and undefined-behaviour sanitizers
  --emulated           the same for arm64, under qemu`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true },
      compare: { type: 'boolean' },
      test: { type: 'boolean' },
      sanitize: { type: 'boolean' },
      emulated: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return console.log(USAGE)
  if (values.test) return testKernels(anyCompiler() ?? requireZig())
  if (values.sanitize) return testSanitized()
  if (values.emulated) return testEmulated()
  const targets = values.target ?? Object.keys(TARGETS)
  const unknown = targets.filter((target) => !Object.hasOwn(TARGETS, target))
  if (unknown.length > 0) throw new Error(`unknown platform ${unknown.join(', ')}: ${Object.keys(TARGETS).join(', ')}`)
  await (values.compare ? comparePrebuilds : writePrebuilds)(targets as Target[])
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
