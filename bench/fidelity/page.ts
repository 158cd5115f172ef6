import type { Distance } from './compare.ts'

/** A published checkpoint in every precision. */
export interface Published {
  readonly runs: ReadonlyMap<string, Distance>
  readonly positions: number
}

interface Findings {
  readonly families: ReadonlyMap<string, ReadonlyMap<string, Distance>>
  readonly settings: ReadonlyMap<string, Distance>
  /** null = none was given. */
  readonly published: Published | null
  readonly missing: readonly string[]
  /** Predictions compared per model. */
  readonly positions: number
  readonly machine: string
}

/** docs/fidelity.md. */
export function renderFidelity(findings: Findings): string {
  const { families, settings, published, missing, positions, machine } = findings
  const rows = [...families].map(([family, runs]) => {
    const [f32, int8, int4] = [runs.get('f32')!, runs.get('int8')!, runs.get('int4')!]
    return [
      `\`${family}\``,
      ...[f32, int8, int4].map(({ perplexity }) => perplexity.toFixed(3)),
      ...[int8, int4].map(({ divergence }) => divergence.toFixed(5)),
      ...[int8, int4].map(({ agreement }) => agreement.toFixed(2)),
    ]
  })
  return `# Fidelity of int8 and int4

<!-- Written by npm run fidelity. -->

What the rounding of weights changes: every family's model in \`int8\` and \`int4\` against itself in \`f32\`, through the graph that the engine runs. KL is the mean
Kullback-Leibler divergence from the f32 model's predictions in nats a token, "same choice" the share of positions where the likeliest token is the same.

${table(['family', 'perplexity f32', 'int8', 'int4', 'KL int8', 'KL int4', 'same choice int8 %', 'int4 %'], rows)}

${positions} predictions each, on held-out text of the demo corpus, in windows of 128 tokens; ${machine}.
${missing.length === 0 ? '' : `\nNot measured, because no model was trained: ${missing.join(', ')}.\n`}
\`llama\` is the demo's own model (3.5 M parameters). The others are smaller still (about 1 M, 3 layers of 128), trained for 400 steps on the same corpus by
[bench/fidelity/train.py](../bench/fidelity/train.py).
${published === null ? '' : publishedPart(published)}
## Size of blocks and rounding of activations

The demo model's linear layers at 4 bits. The rows with f32 activations are rounded weights in exact products: they show what the weights alone cost, the
difference to the first row what the runtime adds by rounding activations to int8 per block (accuracy level 4, which has the fast kernel) and the head to 8 bits.

${distances('4 bits', settings)}
`
}

function publishedPart({ runs, positions }: Published): string {
  return `
## A published checkpoint

SmolLM2-135M-Instruct ([base-models.md](base-models.md) says where it is from), on the text of the README and our pages, ${positions} predictions in windows of 128 tokens
(\`npm run fidelity -- --published OUT/model\`). Small models lose more by rounding than large ones, and this one's weights had been rounded to blocks of 4 bits before, of
another kind than ours. Activations of real models have outliers, which the small models above do not have.

${distances('precision', runs)}
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
