import { Tensor } from 'onnxruntime-node'
import type { EdgeKind, ResidualKind, SiteKind } from '../core/branch.ts'
import { RESIDUAL_KINDS } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { siteCount, siteDims } from '../core/model-info.ts'
import type { Form, GraphSpec } from '../model/graph/spec.ts'
import { IO, hasBias, needsUnitMasks } from '../model/graph/spec.ts'
import type { KindUses, Use } from './kind-uses.ts'

type Feeds = Record<string, Tensor>

interface Parts<K extends SiteKind> {
  readonly info: ModelInfo
  readonly spec: GraphSpec
  readonly kind: K
  /** Rows of the batch. */
  readonly rows: number
}

/** Below this many ranks a unit is too small for a product of its own. */
const LEAST_UNIT = 4
/** How many times the dense form's work may be the grouped one's, which has more nodes and copies more. */
const GROUPING_COST = 3

/** The cheaper form for a batch of so many rows. Work is counted in products of a row with a rank. */
export function chooseForm(rows: number, kinds: Iterable<KindUses>): Form {
  let dense = 0
  let grouped = 0
  for (const uses of kinds) {
    if (uses.rows === 0) continue
    if (uses.unit < LEAST_UNIT) return 'dense'
    dense += rows * uses.rows
    grouped += uses.members * uses.rows
  }
  return dense > GROUPING_COST * grouped ? 'grouped' : 'dense'
}

/** Weights and masks of one site kind, over the range of the stack that this batch uses. */
export function addDense(feeds: Feeds, parts: Parts<SiteKind>, uses: KindUses): void {
  const { spec, kind, rows } = parts
  addWeights(feeds, parts, uses, [uses.rows], [])
  const mask = (wanted: (use: Use) => boolean): Tensor => {
    const values = new Float32Array(rows * uses.rows)
    for (const use of uses.uses) {
      const offset = use.row * uses.rows + use.segment.start - uses.start
      if (wanted(use)) values.fill(use.scale, offset, offset + use.segment.rows)
    }
    return new Tensor('float32', values, [rows, uses.rows])
  }
  if (!isResidual(kind)) {
    feeds[IO.mask(kind)] = mask(() => true)
    return
  }
  for (const phi of spec.activations)
    for (let level = 0; level < spec.depth; level++)
      feeds[IO.activationMask(kind, phi, level)] = mask((use) => use.level === level && use.segment.activation === phi)
}

/** The same for the grouped form: the range in units, the rows that use each, and what each row takes of them. */
export function addGrouped(feeds: Feeds, parts: Parts<Exclude<SiteKind, EdgeKind>>, uses: KindUses): void {
  const { spec, kind, rows } = parts
  const { members, start } = uses
  const unit = Math.max(1, uses.unit)
  const units = uses.rows / unit
  addWeights(feeds, parts, uses, [units, unit], [units, 1])
  // Members that a unit does not have are row 0, taken by nobody.
  const memberRows = new BigInt64Array(units * members)
  const shares = Array.from(
    { length: isResidual(kind) ? spec.depth : 1 },
    () => new Float32Array(rows * units * members),
  )
  for (const { row, segment, scale, level } of uses.uses) {
    const member = uses.usersOf(segment.start).indexOf(row)
    const first = (segment.start - start) / unit
    for (let i = first; i < first + segment.rows / unit; i++) {
      memberRows[i * members + member] = BigInt(row)
      shares[isResidual(kind) ? level : 0]![row * units * members + i * members + member] = scale
    }
  }
  feeds[IO.members(kind)] = new Tensor('int64', memberRows, [units, members])
  for (const [level, values] of shares.entries())
    feeds[IO.combine(kind, level)] = new Tensor('float32', values, [rows, units * members])
  if (isResidual(kind) && needsUnitMasks(spec)) addActivationMasks(feeds, spec, kind, uses, [units, 1, unit])
}

/** Ones where a rank has the mask's φ. */
function addActivationMasks(
  feeds: Feeds,
  spec: GraphSpec,
  kind: ResidualKind,
  { uses, start, rows }: KindUses,
  dims: readonly number[],
): void {
  for (const phi of spec.activations) {
    const values = new Float32Array(rows)
    for (const { segment } of uses)
      if (segment.activation === phi) values.fill(1, segment.start - start, segment.start - start + segment.rows)
    feeds[IO.activationMask(kind, phi, 0)] = new Tensor('float32', values, dims)
  }
}

/** Views of the range in every layer. None at all is a range of zero rows. */
function addWeights(
  feeds: Feeds,
  { info, spec, kind }: Parts<SiteKind>,
  { stack, start, rows }: KindUses,
  range: readonly number[],
  biasRange: readonly number[],
): void {
  const [inDim, outDim] = siteDims(info, kind)
  const empty = new Float32Array(0)
  const biasDims = biasRange.length === 0 ? range : [...biasRange, range[range.length - 1]!]
  for (let layer = 0; layer < siteCount(info, kind); layer++) {
    const weights = rows > 0 ? stack!.rows(layer, start, start + rows) : { down: empty, up: empty, bias: empty }
    feeds[IO.down(layer, kind)] = new Tensor('float32', weights.down, [...range, inDim])
    feeds[IO.up(layer, kind)] = new Tensor('float32', weights.up, [...range, outDim])
    if (hasBias(spec, kind)) feeds[IO.bias(layer, kind)] = new Tensor('float32', weights.bias, biasDims)
  }
}

function isResidual(kind: SiteKind): kind is ResidualKind {
  return (RESIDUAL_KINDS as readonly SiteKind[]).includes(kind)
}
