import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

/** A command that starts a process and makes a folder, says which, and then goes on for ever. */
const COMMAND = `
  import { spawn } from 'node:child_process'
  import { begin } from '${join(ROOT, 'bench/begin.ts')}'
  import { endAtExit, scratchFolder } from '${join(ROOT, 'test/support/at-exit.ts')}'
  begin()
  const { pid } = endAtExit(spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']))
  console.log(JSON.stringify({ own: process.pid, pid, dir: scratchFolder('troupe-begin-') }))
  setInterval(() => {}, 1000)
`
const NODE = ['--import', 'tsx', '--input-type=module', '-e', COMMAND]

interface Started {
  readonly own: number
  readonly pid: number
  readonly dir: string
}

async function said(child: ChildProcess): Promise<Started> {
  const [text] = (await once(child.stdout!, 'data')) as [Buffer]
  return JSON.parse(text.toString()) as Started
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('takes what it started with it on %s', async (signal, code) => {
  const child = spawn(process.execPath, NODE, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  const { pid, dir } = await said(child)
  expect([runs(pid), existsSync(dir)]).toEqual([true, true])
  child.kill(signal)
  expect(await once(child, 'exit')).toEqual([code, null])
  await vi.waitFor(() => expect([runs(pid), existsSync(dir)]).toEqual([false, false]), 10_000)
})

it('ends with the shell that npm runs it in', async () => {
  const env = { ...process.env, npm_lifecycle_event: 'bench' }
  const script = '"$0" "$@"; exit'
  const shell = spawn('sh', ['-c', script, process.execPath, ...NODE], {
    ...{ cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] },
  })
  const { own, pid, dir } = await said(shell)
  shell.kill('SIGTERM')
  await vi.waitFor(() => expect([runs(own), runs(pid), existsSync(dir)]).toEqual([false, false, false]), 10_000)
})
