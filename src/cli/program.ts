import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { packagePath } from '../config/defaults.ts'
import { doctor } from './doctor.ts'
import { importAdapter } from './import.ts'
import type { ImportOptions } from './import.ts'
import { inspect } from './inspect.ts'
import { prepare } from './prepare.ts'
import { serve } from './serve.ts'
import { addSettingFlags, settingsFromFlags } from './setting-flags.ts'

type Flags = Readonly<Record<string, unknown>>

/** The `troupe` command. Errors of input are thrown, wrong arguments as `CommanderError`. */
export function buildProgram(): Command {
  const program = new Command('troupe')
  program
    .description('One frozen base model, a whole troupe of adapters applied per request.')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(see --help)')

  addSettingFlags(program.command('serve').description('start the server')).action(async (flags: Flags) =>
    serve(settingsFromFlags(flags)),
  )
  addSettingFlags(
    program.command('prepare').description('prepare a model into the cache, so that the next start is quick'),
    ['model', 'name', 'precision', 'cacheDir'],
  ).action(async (flags: Flags) => prepare(settingsFromFlags(flags)))

  addAdapterCommands(program.command('adapters').description('look at adapters and store them'))

  addSettingFlags(program.command('doctor').description('check machine, store and model folder'), [
    'model',
    'store',
  ]).action(async (flags: Flags) => {
    if (!(await doctor(settingsFromFlags(flags)))) process.exitCode = 1
  })
  return program
}

function addAdapterCommands(adapters: Command): void {
  adapters
    .command('inspect <path>')
    .description('show what is in an adapter’s folder')
    .option('--json', 'print JSON')
    .action((path: string, options: { json?: boolean }) => inspect(path, options))

  const importing = adapters
    .command('import <name> <path>')
    .description('validate an adapter, probe it and put it into the store')
    .option('--task <task>', 'create this task, or point it at the new version')
    .option('--prompt <template>', 'the task’s prompt, with {input} in it')
    .option('--description <text>', 'the task’s description')
  addSettingFlags(importing, ['model', 'store', 'precision', 'cacheDir', 'threads']).action(
    async (name: string, path: string, flags: Flags & ImportOptions) => {
      const { task, prompt, description, ...settings } = flags
      await importAdapter(name, path, { task, prompt, description }, settingsFromFlags(settings))
    },
  )
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string }
  return version
}
