import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const SRC = join(import.meta.dirname, '../../src')

/** What each module may import besides itself. Nothing lower imports upward. */
const LEAVES = ['core', 'safetensors', 'text', 'config', 'telemetry']
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  safetensors: ['core'],
  text: ['core'],
  config: ['core'],
  telemetry: ['core'],
  bench: ['core'],
  grammar: ['core'],
  native: ['core'],
  model: ['native', ...LEAVES],
  adapters: LEAVES,
  reference: ['model', ...LEAVES],
  device: ['native', 'model', ...LEAVES],
  engine: ['device', 'grammar', 'model', 'adapters', ...LEAVES],
  store: ['core'],
  catalogue: ['store', 'core'],
  residency: ['catalogue', 'store', 'engine', 'model', 'adapters', ...LEAVES],
  intake: ['residency', 'catalogue', 'store', 'reference', 'engine', 'model', 'adapters', ...LEAVES],
  tenancy: ['catalogue', 'store', 'engine', 'model', 'adapters', ...LEAVES],
  generation: ['grammar', 'residency', 'catalogue', 'tenancy', 'engine', ...LEAVES],
  evaluation: ['generation', 'catalogue', 'store', 'tenancy', 'engine', ...LEAVES],
  server: [
    'evaluation',
    'generation',
    'grammar',
    'intake',
    'residency',
    'catalogue',
    'store',
    'tenancy',
    'adapters',
    ...LEAVES,
  ],
  app: [
    'server',
    'evaluation',
    'generation',
    'grammar',
    'intake',
    'residency',
    'catalogue',
    'store',
    'reference',
    'tenancy',
    'engine',
    'device',
    'model',
    ...LEAVES,
  ],
  cli: [
    'app',
    'evaluation',
    'server',
    'bench',
    'intake',
    'residency',
    'catalogue',
    'store',
    'tenancy',
    'engine',
    'model',
    'adapters',
    ...LEAVES,
  ],
}

interface Import {
  readonly file: string
  readonly target: string
  /** Gone when it is compiled: it says what something is, and brings nothing. */
  readonly isType: boolean
  readonly from: string
  readonly to: string
}

function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(SRC, file))
}

function moduleOf(path: string): string {
  return relative(SRC, path).split('/')[0]!
}

/** Relative imports of a file, dynamic ones and re-exports included. */
function importsOf(path: string): Import[] {
  const found: Import[] = []
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  const add = (specifier: ts.Node | undefined, isType = false): void => {
    if (specifier === undefined || !ts.isStringLiteral(specifier) || !specifier.text.startsWith('.')) return
    const target = resolve(dirname(path), specifier.text)
    const files = { file: relative(SRC, path), target: relative(SRC, target) }
    found.push({ ...files, isType, from: moduleOf(path), to: moduleOf(target) })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node))
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword)
    if (ts.isExportDeclaration(node)) add(node.moduleSpecifier)
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0])
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Files that lead back to themselves, each with the way it goes. */
function circles(imports: readonly Import[]): string[] {
  const next = new Map<string, string[]>()
  for (const { file, target } of imports) next.set(file, [...(next.get(file) ?? []), target])
  const found: string[] = []
  const done = new Set<string>()
  const walk = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) found.push([...way.slice(way.indexOf(file)), file].join(' → '))
    if (done.has(file) || way.includes(file)) return
    for (const target of next.get(file) ?? []) walk(target, [...way, file])
    done.add(file)
  }
  for (const file of next.keys()) walk(file, [])
  return found
}

describe('imports', () => {
  const imports = sources().flatMap(importsOf)

  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(100)
    expect(imports.some(({ from, to }) => from === 'server' && to === 'catalogue')).toBe(true)
  })

  it('know every module', () => {
    expect([...new Set(sources().map(moduleOf))].filter((name) => !(name in ALLOWED))).toEqual([])
  })

  it('go down only', () => {
    const wrong = imports.filter(({ from, to }) => from !== to && !ALLOWED[from]!.includes(to))
    expect(wrong.map(({ file, to }) => `${file} imports ${to}`)).toEqual([])
  })

  it('lead nowhere back, inside a room as between rooms', () => {
    expect(
      circles([
        { ...imports[0]!, file: 'a', target: 'b' },
        { ...imports[0]!, file: 'b', target: 'a' },
      ]),
    ).toEqual(['a → b → a'])
    expect(circles(imports.filter(({ isType }) => !isType))).toEqual([])
  })

  it('lead nowhere back in the rooms of the store, types included', () => {
    const rooms = ['store', 'catalogue', 'intake', 'residency']
    expect(circles(imports.filter(({ from, to }) => from === to && rooms.includes(from)))).toEqual([])
  })
})
