import type { Distance } from './compare.ts'

/** A published checkpoint in every precision, as it was stored and with its channels in another order. */
export interface Published {
  readonly stored: ReadonlyMap<string, Distance>
  readonly permuted: ReadonlyMap<string, Distance>
  readonly positions: number
}

interface Findings {
  readonly families: ReadonlyMap<string, ReadonlyMap<string, Distance>>
  /** null = none was given. */
  readonly published: Published | null
  readonly missing: readonly string[]
  /** Predictions compared per model. */
  readonly positions: number
  readonly machine: string
}

/** docs/fidelity.md. */
export function renderFidelity(findings: Findings): string {
  const { families, published, missing, positions, machine } = findings
  const rows = [...families].map(([family, runs]) => {
    const [f32, ...rounded] = ['f32', 'bf16', 'int8', 'int4'].map((name) => runs.get(name)!)
    return [
      `\`${family}\``,
      f32!.perplexity.toFixed(3),
      ...rounded.map(({ divergence }) => divergence.toFixed(5)),
      ...rounded.map(({ agreement }) => agreement.toFixed(2)),
    ]
  })
  const head = ['family', 'perplexity', 'KL bf16', 'int8', 'int4', 'same choice bf16 %', 'int8 %', 'int4 %']
  return `# Fidelity of bf16, int8 and int4

<!-- Written by npm run fidelity. -->

What rounding changes: every family's model in each precision against itself in \`f32\`, on the device that the engine runs on. KL is the mean Kullback-Leibler
divergence from the f32 model's predictions in nats a token; "same choice" is the share of positions where the likeliest token is the same.

${table(head, rows)}

${positions} predictions each, on held-out text of the demo corpus, in windows of 128 tokens; ${machine}.
${missing.length === 0 ? '' : `\nNot measured, because no model was trained: ${missing.join(', ')}.\n`}
\`llama\` is the demo's own model (3.5 M parameters). The others are smaller still (about 1 M, 3 layers of 128), trained for 400 steps on the same corpus by
[bench/fidelity/train.py](../bench/fidelity/train.py).
${published === null ? '' : publishedPart(published)}`
}

function publishedPart({ stored, permuted, positions }: Published): string {
  return `
## A published checkpoint

SmolLM2-135M-Instruct ([base-models.md](base-models.md) says where it is from), on the text of the README and our pages, ${positions} predictions in windows of
128 tokens (\`npm run fidelity -- --published OUT/model\`). Its weights were stored in blocks of 4 bits once. \`int4\` finds these blocks again and loses
next to nothing:

${distances('precision, as stored', stored)}

The same model with its channels in another order computes the same, and its weights lie on no grid. This is what \`int4\` costs a small model; larger ones lose
less:

${distances('precision, other order', permuted)}
`
}

function distances(title: string, runs: ReadonlyMap<string, Distance>): string {
  const rows = [...runs].map(([name, { perplexity, divergence, agreement }]) => [
    name,
    perplexity.toFixed(3),
    divergence.toFixed(5),
    agreement.toFixed(2),
  ])
  return table([title, 'perplexity', 'KL', 'same choice %'], rows)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)].join('\n')
}
