import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Arch } from './flags.ts'
import { SHARED_FLAGS, ZIG_VERSION, flagsOf, isForeign, systemFlagsOf } from './flags.ts'
import { NATIVE, headerText } from './sources.ts'

/** A C++ compiler: a program and what comes before its flags. */
export interface Compiler {
  readonly name: string
  readonly command: readonly string[]
}

const run = promisify(execFile)

function answer(command: readonly string[]): string | null {
  try {
    return execFileSync(command[0]!, command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return null
  }
}

/** Zig of the pinned version: the program itself, or PyPI's package in the Python that `PYTHON` names; null when neither is here. */
export function findZig(): Compiler | null {
  const python = process.env['PYTHON'] ?? 'python3'
  for (const zig of [['zig'], [python, '-m', 'ziglang']])
    if (answer([...zig, 'version']) === ZIG_VERSION) return { name: `zig ${ZIG_VERSION}`, command: [...zig, 'c++'] }
  return null
}

/** @throws Error that says how to get it */
export function requireZig(): Compiler {
  const zig = findZig()
  if (zig === null)
    throw new Error(
      `zig ${ZIG_VERSION} is missing: pip install ziglang==${ZIG_VERSION}, and name that Python in PYTHON if it is not python3`,
    )
  return zig
}

/** A compiler of this machine that has the sanitizers, which zig lacks; null when there is none. */
export function findSystemCompiler(): Compiler | null {
  for (const name of [process.env['CXX'], 'g++', 'clang++'])
    if (name && answer([name, '--version']) !== null) return { name, command: [name] }
  return null
}

export interface Program {
  readonly compiler: Compiler
  readonly sources: readonly string[]
  readonly arch: Arch
  /** For sources and linking alike, behind all others: the target, sanitizers. */
  readonly flags: readonly string[]
  readonly linkFlags: readonly string[]
  /** Defines for one source. */
  readonly defines?: Readonly<Record<string, readonly string[]>>
  /** Where objects and the result go. */
  readonly folder: string
  readonly name: string
}

/**
 * Compiles and links on all processors, in `native/` with relative names, so that no path of this machine gets into the result. Objects are kept
 * under a digest of all that made them, and made only once.
 *
 * @returns the path of the result
 * @throws Error with the compiler's message
 */
export async function build(program: Program): Promise<string> {
  const { compiler, arch, flags, folder } = program
  mkdirSync(folder, { recursive: true })
  const isZig = compiler.name.startsWith('zig')
  const invoke = async (args: readonly string[]): Promise<void> => {
    try {
      const [command, ...first] = compiler.command
      const { stderr } = await run(command!, [...first, ...args, ...flags], { cwd: NATIVE, maxBuffer: 1 << 26 })
      process.stderr.write(stderr)
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string }
      throw new Error(`${compiler.name} failed:\n${stderr || message}`, { cause: error })
    }
  }
  const headers = headerText()
  const compile = async (source: string): Promise<string> => {
    const sets = (isZig ? flagsOf : systemFlagsOf)(source, arch)
    // GCC 12 takes its own intrinsics' undefined registers for ours.
    const quiet = compiler.name.includes('g++') ? ['-Wno-uninitialized', '-Wno-maybe-uninitialized'] : []
    const args = [...SHARED_FLAGS, ...quiet, ...sets, ...(program.defines?.[source] ?? []), '-c', source]
    const made = [compiler.name, ...args, ...flags, headers, readFileSync(join(NATIVE, source), 'utf8')].join('\0')
    const key = createHash('sha256').update(made).digest('hex').slice(0, 16)
    const object = join(folder, `${source.replaceAll('/', '_')}.${key}.o`)
    if (existsSync(object)) return object
    const unfinished = `${object}.${process.pid}`
    await invoke([...args, '-o', unfinished])
    renameSync(unfinished, object)
    return object
  }
  const sources = program.sources.filter((source) => !isForeign(source, arch))
  const objects: string[] = []
  const left = [...sources.keys()]
  const work = async (): Promise<void> => {
    for (let index = left.shift(); index !== undefined; index = left.shift())
      objects[index] = await compile(sources[index]!)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  const result = join(folder, program.name)
  await invoke([...objects, ...program.linkFlags, '-o', result])
  return result
}
