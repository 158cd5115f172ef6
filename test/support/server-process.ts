import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { endAtExit } from './at-exit.ts'

const COMMAND = join(import.meta.dirname, '../../dist/cli/main.js')

/** A whole server in a process of its own, which can be killed. */
export interface ServerProcess {
  readonly url: string
  readonly pid: number
  /** Ends it at once, without a chance to tidy up; resolves when it is gone. */
  kill(): Promise<void>
  /** Keeps it from running until `resume`. */
  pause(): void
  resume(): void
}

/** Starts `troupe serve` on a free loopback port, from the build unless another `command` is given. */
export async function startServerProcess(
  model: string,
  store: string,
  flags: readonly string[] = ['--precision', 'f32', '--threads', '1'],
  command = COMMAND,
): Promise<ServerProcess> {
  const args = ['serve', '--model', model, '--store', store, '--port', '0', '--log-level', 'silent']
  args.push('--allow-base-mismatch')
  const child = endAtExit(
    spawn(process.execPath, [command, ...args, ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
    }),
  )
  const closed = once(child, 'close')
  let said = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const found = /address\s+(http:\S+)\n/.exec(said)?.[1]
      if (found !== undefined) resolve(found)
    })
    child.once('close', () => reject(new Error(`the server ended while starting: ${said}`)))
  })
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await closed
  }
  return {
    url,
    pid: child.pid!,
    kill,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
  }
}
