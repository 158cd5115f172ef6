import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

function run(script: string, ...flags: string[]): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) => {
    const args = ['--import', 'tsx', `bench/${script}.ts`, ...flags]
    execFile(process.execPath, args, { cwd: ROOT }, (error, _stdout, stderr) => resolve({ code: error?.code, stderr }))
  })
}

it.each([
  ['main', ['--rows', 'nope'], /^--rows knows no "nope"; there are peers, .*\n$/],
  ['main', ['--nope'], /^Unknown option '--nope'.*\n$/],
  ['chaos', ['--scenario', 'nope'], /^--scenario takes one of flip, .*, not nope\n$/],
  ['soak', ['--minutes', 'long'], /^--minutes takes a number above 0, not long\n$/],
])('bench/%s.ts %j says what is wrong in one line', async (script, flags, message) => {
  expect(await run(script, ...flags)).toEqual({ code: 2, stderr: expect.stringMatching(message) as string })
})
