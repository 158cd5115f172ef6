const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const

/** Lets signals end this process as `process.exit()` does, so that what it started ends with it (test/support/at-exit.ts). */
export function exitOnSignals(): void {
  for (const [signal, number] of Object.entries(NUMBERS)) process.once(signal, () => process.exit(128 + number))
}
