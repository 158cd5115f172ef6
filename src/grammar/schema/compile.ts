import type { NodeTable, ObjectTable, Option } from '../json/tables.ts'
import { arrayCompletes, EMPTY_ARRAY, EMPTY_OBJECT, objectCompletes } from '../json/completion.ts'
import type { Budget } from '../limits.ts'
import { invalid } from '../limits.ts'
import { SchemaDocument } from './document.ts'
import { Expander } from './expander.ts'
import { NodeBuilder } from './node-builder.ts'

/**
 * Compiles a JSON Schema into tables; node 0 is the whole.
 *
 * @param ordered whether properties keep the order of the schema
 * @throws TroupeError `unsupported_schema`, `schema_too_complex`, `invalid_request`
 */
export function compileSchema(schema: unknown, ordered: boolean, budget: Budget): readonly NodeTable[] {
  const expander = new Expander(new SchemaDocument(schema), budget)
  const builder = new NodeBuilder(expander, budget, ordered)
  builder.build(expander.literals.root())
  return possibleOnly(builder.nodes)
}

/** Without what no finite value fits. */
function possibleOnly(nodes: readonly NodeTable[]): readonly NodeTable[] {
  const possible = nodes.map(
    (node) => node.null || node.true || node.false || node.numbers.length > 0 || node.strings.length > 0,
  )
  const usable = ({ node }: Option): boolean => possible[node]!
  // From the leaves up: a container is possible once its parts are.
  for (let changed = true; changed;) {
    changed = false
    for (const [i, node] of nodes.entries()) {
      if (possible[i]) continue
      possible[i] =
        node.arrays.some((table) => arrayCompletes(table, EMPTY_ARRAY(table), usable)) ||
        node.objects.some((table) => objectCompletes(table, EMPTY_OBJECT(table), usable))
      changed ||= possible[i]
    }
  }
  if (!possible[0]) throw invalid('#', 'no value fits the schema')
  const kept = (options: readonly Option[]): readonly Option[] => options.filter(usable)
  return nodes.map((node) => ({
    ...node,
    arrays: node.arrays
      .filter((table) => arrayCompletes(table, EMPTY_ARRAY(table), usable))
      .map((table) => ({ ...table, prefix: table.prefix.map(kept), rest: kept(table.rest) })),
    objects: node.objects
      .filter((table) => objectCompletes(table, EMPTY_OBJECT(table), usable))
      .map((table) => pruned(table, kept)),
  }))
}

function pruned(table: ObjectTable, kept: (options: readonly Option[]) => readonly Option[]): ObjectTable {
  const options = table.options.map(kept)
  const { others } = table
  return { ...table, options, others: others && { ...others, options: others.options.map(kept) } }
}
