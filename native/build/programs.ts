import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { build, findSystemCompiler, findZig, requireZig } from './compiler.ts'
import type { Compiler } from './compiler.ts'
import type { Arch } from './flags.ts'
import { programSources, NATIVE } from './sources.ts'

const CACHE = join(NATIVE, '../.cache/native')
const HERE: Arch = process.arch === 'arm64' ? 'arm64' : 'x64'
/** Nothing here takes more than a minute or two; what hangs is ended. */
const LIMIT_MS = 600_000

/** What the tests are built with on this machine; null when it has no compiler. */
export function anyCompiler(): Compiler | null {
  return findZig() ?? findSystemCompiler()
}

function run(command: readonly string[]): void {
  const { status, signal, error } = spawnSync(command[0]!, command.slice(1), { stdio: 'inherit', timeout: LIMIT_MS })
  if (error) throw error
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status ?? signal}`)
}

/** Builds and runs the tests of the kernels. */
export async function testKernels(compiler: Compiler): Promise<void> {
  const program = {
    compiler,
    sources: programSources('test'),
    arch: HERE,
    flags: ['-pthread'],
    linkFlags: [],
    name: 'tests',
  }
  run([await build({ ...program, folder: join(CACHE, 'test') })])
}

/** The same under the address and undefined-behaviour sanitizers. */
export async function testSanitized(): Promise<void> {
  const compiler = findSystemCompiler()
  if (compiler === null) throw new Error('the sanitizers need g++ or clang++; set CXX to name another')
  const flags = [
    '-pthread',
    '-O1',
    '-g1',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
    '-fno-omit-frame-pointer',
  ]
  const program = { compiler, sources: programSources('test'), arch: HERE, flags, linkFlags: [], name: 'tests' }
  run([await build({ ...program, folder: join(CACHE, 'sanitize') })])
}

/** The tests for arm64, under emulation. */
export async function testEmulated(): Promise<void> {
  const names = [process.env['QEMU'], 'qemu-aarch64-static', 'qemu-aarch64'].filter((name) => name !== undefined)
  const qemu = names.find((name) => spawnSync(name, ['--version']).status === 0)
  if (qemu === undefined)
    throw new Error("qemu-aarch64 is missing: Debian's qemu-user-static has it; set QEMU to name the program")
  const flags = ['-target', 'aarch64-linux-musl', '-pthread']
  const program = {
    compiler: requireZig(),
    sources: programSources('test'),
    arch: 'arm64',
    flags,
    linkFlags: ['-static'],
  } as const
  run([qemu, '-cpu', 'max', await build({ ...program, folder: join(CACHE, 'emulated'), name: 'tests' })])
}

/** Builds the benchmark of the kernels; its path. Built as the shipped addon is, where that compiler is at hand. */
export async function buildBenchmark(): Promise<string> {
  const compiler = anyCompiler()
  if (compiler === null) throw new Error('no compiler: zig (see CONTRIBUTING.md), g++ or clang++ is needed')
  const program = {
    compiler,
    sources: programSources('bench'),
    arch: HERE,
    flags: ['-pthread'],
    linkFlags: [],
    name: 'bench',
  }
  return build({ ...program, folder: join(CACHE, 'bench') })
}
