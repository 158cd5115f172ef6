import { spawnSync } from 'node:child_process'

/** What a program said, and how it ended. */
export interface ToolResult {
  readonly status: number | null
  readonly output: string
}

/** Runs a program that machines may have or not: null, with a printed reason, where this one has not. */
export function runTool(name: string, args: readonly string[], input = ''): ToolResult | null {
  const { error, status, stdout, stderr } = spawnSync(name, args, { input, encoding: 'utf8', timeout: 30_000 })
  if (error && 'code' in error && error.code === 'ENOENT') {
    console.warn(`not compared with ${name}: this machine does not have it`)
    return null
  }
  if (error) throw error
  return { status, output: `${stdout}${stderr}` }
}
