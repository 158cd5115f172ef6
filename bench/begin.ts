const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
const LOOK_MS = 500

const WRONG_FLAGS = 2

/** A flag that a command does not know or cannot take: shown as one line, without a stack. */
export class WrongFlag extends Error {}

/**
 * What every command that measures begins with: signals end it as `process.exit()` does, so that what it started ends with it
 * (test/support/at-exit.ts). npm passes signals only to the shell that runs its script, so the end of that shell counts as one. A wrong flag ends it
 * with one line and status 2.
 */
export function begin(): void {
  for (const [signal, number] of Object.entries(NUMBERS)) process.once(signal, () => process.exit(128 + number))
  process.once('uncaughtException', (error) => {
    const isFlag = error instanceof WrongFlag || ('code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
    console.error(isFlag ? error.message : error)
    process.exit(isFlag ? WRONG_FLAGS : 1)
  })
  if (process.env.npm_lifecycle_event === undefined) return
  const shell = process.ppid
  const look = (): void => {
    if (process.ppid !== shell) process.exit(128 + NUMBERS.SIGTERM)
  }
  setInterval(look, LOOK_MS).unref()
}
