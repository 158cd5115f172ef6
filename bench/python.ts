import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const MAX_OUTPUT = 64 * 1024 * 1024
/** What an environment was made from, beside it. */
const MADE_FROM = 'requirements.txt'

/**
 * A Python with pinned packages, in a virtual environment; made again when the pins change.
 *
 * @returns its executable
 * @throws Error when there is no Python, or with what pip said
 */
export async function preparePython(dir: string, requirements: string): Promise<string> {
  const python = join(dir, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
  const wanted = readFileSync(requirements, 'utf8')
  const made = join(dir, MADE_FROM)
  if (existsSync(made) && readFileSync(made, 'utf8') === wanted) return python
  console.error(`making a Python environment in ${dir} …`)
  await lastLine(run('python3', ['-m', 'venv', '--clear', dir]))
  await lastLine(run(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { maxBuffer: MAX_OUTPUT }))
  writeFileSync(made, wanted)
  return python
}

/** Runs a script to its end. @returns the lines of its output @throws Error with the last line it complained with */
export async function runScript(
  python: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const { stdout } = await lastLine(run(python, args, { env: { ...process.env, ...env }, maxBuffer: MAX_OUTPUT }))
  return stdout.split('\n').filter((line) => line !== '')
}

/** A failed command's last line says most. @throws Error with it */
export async function lastLine<T>(command: Promise<T>): Promise<T> {
  try {
    return await command
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    throw new Error(stderr.split('\n').at(-1) || String(error), { cause: error })
  }
}
