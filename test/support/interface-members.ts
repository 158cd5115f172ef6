import { readFileSync } from 'node:fs'
import ts from 'typescript'

/** The members of an interface among the resources of the npm package `openai`. */
export function interfaceMembers(file: string, name: string): readonly string[] {
  const path = new URL(`../../node_modules/openai/resources/${file}.d.ts`, import.meta.url)
  const source = ts.createSourceFile(file, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  const found = source.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name)
  if (!found || !ts.isInterfaceDeclaration(found)) throw new Error(`${file} has no ${name}`)
  return found.members.map((member) => member.name?.getText() ?? '')
}
