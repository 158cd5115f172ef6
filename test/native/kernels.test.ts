import { describe, it } from 'vitest'
import { anyCompiler, testKernels } from '../../native/build/programs.ts'

const compiler = anyCompiler()
if (compiler === null) console.log('skipped: the tests of the kernels need zig, g++ or clang++ (CONTRIBUTING.md)')

describe.skipIf(compiler === null)('kernels', () => {
  it(
    'give what f64 gives, and the same bits in every set, for any rows, on any number of threads',
    { timeout: 600_000 },
    async () => {
      await testKernels(compiler!)
    },
  )
})
