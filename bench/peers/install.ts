import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { lastLine, runScript } from '../python.ts'

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
  await lastLine(run('npm', ['install', '--no-save'], { cwd: BENCH }))
}

/** Writes one of llama.cpp's files. */
export async function writeGguf(python: string, args: readonly string[]): Promise<void> {
  await runScript(python, [join(BENCH, 'peers/write_gguf.py'), ...args])
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}
