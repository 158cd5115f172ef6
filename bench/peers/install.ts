import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const BENCH = join(import.meta.dirname, '..')
const run = promisify(execFile)

/**
 * Installs node-llama-cpp into `bench/node_modules`, as `bench/package-lock.json` says, which stays as it is. Not by `npm ci`: that wants the binary
 * packages of every platform in the file, and a registry need not have them all.
 *
 * @throws Error with what npm said
 */
export async function installPeers(): Promise<void> {
  const installed = join(BENCH, 'node_modules/node-llama-cpp/package.json')
  const { dependencies } = readJson(join(BENCH, 'package.json')) as { dependencies: Record<string, string> }
  if (existsSync(installed) && (readJson(installed) as { version: string }).version === dependencies['node-llama-cpp'])
    return
  console.error('installing node-llama-cpp into bench/node_modules …')
  await told(run('npm', ['install', '--no-save'], { cwd: BENCH }))
}

/**
 * A Python with the pinned packages that write llama.cpp's files, in a virtual environment.
 *
 * @returns its executable
 * @throws Error when there is no Python, or with what pip said
 */
export async function preparePython(dir: string): Promise<string> {
  const python = join(dir, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
  const ready = existsSync(python) && (await run(python, ['-c', 'import gguf']).then(succeeded, failed))
  if (ready) return python
  console.error(`making a Python environment in ${dir} …`)
  await told(run('python3', ['-m', 'venv', dir]))
  await told(run(python, ['-m', 'pip', 'install', '--quiet', '-r', join(BENCH, 'peers/requirements.txt')]))
  return python
}

/** Writes one of llama.cpp's files. */
export async function writeGguf(python: string, args: readonly string[]): Promise<void> {
  await told(run(python, [join(BENCH, 'peers/write_gguf.py'), ...args]))
}

/** The last line of what a failed command wrote says most. */
async function told(command: Promise<unknown>): Promise<void> {
  try {
    await command
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    throw new Error(stderr.split('\n').at(-1) || String(error), { cause: error })
  }
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

const succeeded = (): boolean => true
const failed = (): boolean => false
