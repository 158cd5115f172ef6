import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { packagePath } from '../config/defaults.ts'
import type { BenchFlags } from './bench.ts'
import type { CompareFlags } from './compare.ts'
import type { EvalFlags } from './eval.ts'
import type { ImportOptions } from './import.ts'
import type { CollectFlags } from './store.ts'
import { addTenantCommands } from './tenants/commands.ts'
import { addSettingFlags, settingsFromFlags } from './setting-flags.ts'

type Flags = Readonly<Record<string, unknown>>

/**
 * The `troupe` command. Errors of input are thrown, wrong arguments as `CommanderError`. A command's own modules are loaded when it
 * runs: the server's take a second.
 */
export function buildProgram(): Command {
  const program = new Command('troupe')
  program
    .description('One frozen base model, a whole troupe of adapters applied per request.')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(see --help)')

  addSettingFlags(program.command('serve').description('start the server')).action(async (flags: Flags) => {
    const settings = settingsFromFlags(flags)
    const { serve } = await import('./serve.ts')
    await serve(settings)
  })

  addSettingFlags(
    program.command('prepare').description('prepare a model into the cache, so that the next start is quick'),
    ['model', 'name', 'precision', 'cacheDir'],
  ).action(async (flags: Flags) => {
    const { prepare } = await import('./prepare.ts')
    await prepare(settingsFromFlags(flags))
  })

  addAdapterCommands(program.command('adapters').description('look at adapters and store them'))

  addStoreCommands(program.command('store').description('look after a store'))

  addTenantCommands(program.command('tenants').description('look after tenants and their keys'))

  addBenchCommand(program)
  addEvaluationCommands(program)

  const checks = program
    .command('doctor')
    .description('check machine, store and model folder, and plan memory and disk of a server with these settings')
  checks.option('--json [file]', 'print what was found as JSON, or also write it to this file')
  addSettingFlags(checks).action(async ({ json, ...flags }: Flags & { json?: string | true }) => {
    const { doctor } = await import('./doctor.ts')
    if (!(await doctor(settingsFromFlags(flags), json))) process.exitCode = 1
  })
  return program
}

function addBenchCommand(program: Command): void {
  program
    .command('bench')
    .description('send a load to a running server and measure what its clients see')
    .requiredOption('--url <url>', 'the server’s address')
    .option('--models <names>', 'what to ask for, most popular first: names with commas, * for any (default: the base)')
    .option('--zipf <exponent>', 'popularity falls with this power of the place in the list; 0 = all alike', '0')
    .option('--requests <n>', 'requests in all', '100')
    .option('--concurrency <n>', 'requests open at once', '8')
    .option('--prompt-tokens <n|n-m>', 'length of the prompts', '128')
    .option('--max-tokens <n|n-m>', 'length of the answers', '64')
    .option('--first-token-ms <ms>', 'for the goodput: longest time to the first token')
    .option('--inter-token-ms <ms>', 'for the goodput: longest mean time between two tokens of a request')
    .option('--seed <n>', 'the same seed draws the same load', '1')
    .addOption(new Option('--key <key>', 'API key').env('TROUPE_KEY'))
    .option('--json <file>', 'also write the figures to this file')
    .action(async (flags: BenchFlags) => {
      const { bench } = await import('./bench.ts')
      await bench(flags, `troupe bench --url ${flags.url}`)
    })
}

function addEvaluationCommands(program: Command): void {
  const mixes = 'what answers, with commas: base, a task, an adapter (json@v2), or a composition (json*0.5+reply)'
  const url = ['--url <url>', 'the server’s address', 'http://127.0.0.1:8080'] as const
  const key = (): Option => new Option('--key <key>', 'API key').env('TROUPE_KEY')
  program
    .command('eval <set>')
    .description('score mixes on a file of items (JSONL) through a running server')
    .option(...url)
    .requiredOption('--mixes <mixes>', mixes)
    .option('--task <task>', 'its prompt, system message and defaults hold for every mix')
    .option('--metrics <names>', 'with commas; docs/evaluations.md has them', 'exact_match')
    .option('--pattern <regex>', 'for the metric regex')
    .option('--max-tokens <n>', 'longest answer')
    .option('--confidence <share>', 'of the intervals')
    .option('--name <name>', 'of the evaluation, for people')
    .addOption(key())
    .option('--json', 'print JSON')
    .action(async (set: string, flags: EvalFlags) => {
      const { evaluate } = await import('./eval.ts')
      await evaluate(set, flags)
    })
  program
    .command('compare <input>')
    .description('one input through several mixes of a running server, side by side')
    .option(...url)
    .requiredOption('--mixes <mixes>', mixes)
    .option('--task <task>', 'its prompt, system message and defaults hold for every mix')
    .option('--max-tokens <n>', 'longest answer')
    .addOption(key())
    .option('--json', 'print JSON')
    .action(async (input: string, flags: CompareFlags) => {
      const { compare } = await import('./compare.ts')
      await compare(input, flags)
    })
}

function addStoreCommands(store: Command): void {
  const keys = ['store', 'storeCacheBytes', 'cacheDir'] as const
  const migrating = store
    .command('migrate <folder>')
    .description('bring a store of an earlier version of troupe to the present format; the old one stays beside it')
    .option('--to <location>', 'write the new store there instead: a folder, or s3://bucket/prefix')
  addSettingFlags(migrating, ['storeCacheBytes', 'cacheDir']).action(
    async (folder: string, { to, ...flags }: Flags & { to?: string }) => {
      const { migrate } = await import('./store.ts')
      await migrate(folder, to, settingsFromFlags(flags))
    },
  )

  const collecting = store
    .command('gc')
    .description('remove files that no version names; servers do it by themselves now and then')
    .option('--dry-run', 'only say what would be removed')
    .option('--grace <minutes>', 'leave alone what is younger: it may belong to an upload in progress', '60')
  addSettingFlags(collecting, keys).action(async ({ dryRun, grace, ...flags }: Flags & CollectFlags) => {
    const { collectGarbage } = await import('./store.ts')
    await collectGarbage({ grace, ...(dryRun === undefined ? {} : { dryRun }) }, settingsFromFlags(flags))
  })

  const repairing = store
    .command('repair')
    .description('name records of the journal that cannot be read')
    .option('--apply', 'set them aside: what they said is lost, and changes are possible again')
  addSettingFlags(repairing, keys).action(async ({ apply, ...flags }: Flags & { apply?: boolean }) => {
    const { repair } = await import('./store.ts')
    await repair(apply ?? false, settingsFromFlags(flags))
  })

  const logging = store
    .command('log')
    .description('print the last changes: what, when, by whom, on which server, for which request')
    .option('--count <n>', 'how many', '20')
  addSettingFlags(logging, keys).action(async ({ count, ...flags }: Flags & { count: string }) => {
    const { printLog } = await import('./store.ts')
    await printLog(count, settingsFromFlags(flags))
  })
}

function addAdapterCommands(adapters: Command): void {
  adapters
    .command('inspect <path>')
    .description('show what is in an adapter’s folder')
    .option('--json', 'print JSON')
    .action(async (path: string, options: { json?: boolean }) => {
      const { inspect } = await import('./inspect.ts')
      await inspect(path, options)
    })

  const importing = adapters
    .command('import <name> <path>')
    .description('validate an adapter, probe it and put it into the store')
    .option('--task <task>', 'create this task, or point it at the new version')
    .option('--prompt <template>', 'the task’s prompt, with {input} in it')
    .option('--description <text>', 'the task’s description')
  addSettingFlags(importing, [
    'model',
    'store',
    'precision',
    'cacheDir',
    'threads',
    'allowBaseMismatch',
    'mergedProbe',
  ]).action(async (name: string, path: string, { task, prompt, description, ...flags }: Flags & ImportOptions) => {
    const { importAdapter } = await import('./import.ts')
    await importAdapter(name, path, { task, prompt, description }, settingsFromFlags(flags))
  })
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string }
  return version
}
