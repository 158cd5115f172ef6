import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built `troupe` command to its end. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

export interface RunningCommand {
  readonly child: ChildProcess
  /** Everything written to stderr so far. */
  stderr(): string
  /** Resolves with stderr once it matches; rejects when the process ends before. */
  until(pattern: RegExp): Promise<string>
  readonly ended: Promise<number | null>
}

/** Starts the built `troupe` command. */
export function startCommand(args: readonly string[], env: Readonly<Record<string, string>> = {}): RunningCommand {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const until = async (pattern: RegExp): Promise<string> => {
    while (!pattern.test(text)) {
      const more = new Promise((resolve) => child.stderr.once('data', resolve))
      const outcome = await Promise.race([more.then(() => 'more'), ended.then(() => 'ended')])
      if (outcome === 'ended') throw new Error(`the command ended before ${String(pattern)}:\n${text}`)
    }
    return text
  }
  return { child, stderr: () => text, until, ended }
}

/** The arguments a shell gives to `curl` for a command line: shows that its quoting survives a copy. */
export async function curlArguments(line: string): Promise<string[]> {
  const script = `curl() { printf '%s\\0' "$@"; }\n${line}`
  return new Promise((resolve, reject) => {
    execFile('bash', ['-c', script], (error, stdout) => {
      if (error) reject(new Error(`bash: ${error.message}`))
      else resolve(stdout.split('\0').slice(0, -1))
    })
  })
}
