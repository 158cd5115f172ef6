import { expect } from 'vitest'
import type { ErrorCode } from '../../src/core/errors.ts'
import { TroupeError } from '../../src/core/errors.ts'

/** Expects a `TroupeError` with this code whose message has the text. */
export function expectRefusal(action: () => unknown, code: ErrorCode, text: string): void {
  expectTroupeError(caught(action), code, text)
}

/** The same for an action that answers later. */
export async function expectRefusalAsync(action: () => Promise<unknown>, code: ErrorCode, text: string): Promise<void> {
  expectTroupeError(
    await action().then(
      () => null,
      (error: unknown) => error,
    ),
    code,
    text,
  )
}

function caught(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return null
}

function expectTroupeError(error: unknown, code: ErrorCode, text: string): void {
  expect(error).toBeInstanceOf(TroupeError)
  const { code: found, message } = error as TroupeError
  expect({ code: found, message }).toEqual({ code, message: expect.stringContaining(text) as string })
}
