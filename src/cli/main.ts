#!/usr/bin/env node
import { describeFailure } from './failure.ts'
import { buildProgram } from './program.ts'

try {
  await buildProgram().parseAsync()
} catch (error) {
  const { text, exitCode } = describeFailure(error)
  if (text !== null) process.stderr.write(`${text}\n`)
  process.exitCode = exitCode
}
