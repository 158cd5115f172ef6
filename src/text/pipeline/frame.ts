import type { Part } from './part.ts'

/** The tokens that a post-processor puts around a text. */
export interface Frame {
  readonly before: readonly number[]
  readonly after: readonly number[]
}

const NONE: Frame = { before: [], after: [] }
const TYPES = ['Sequence', 'TemplateProcessing', 'ByteLevel', 'RobertaProcessing', 'BertProcessing']

/** Reads a post-processor of `tokenizer.json`. Throws for what is unknown. */
export function readFrame(part: Part): Frame {
  const frame = frameOf(part)
  part.close()
  return frame
}

function frameOf(part: Part): Frame {
  switch (part.type) {
    case 'Sequence':
      return part
        .children('processors')
        .map(readFrame)
        .reduce(
          (inner, outer) => ({
            before: [...outer.before, ...inner.before],
            after: [...inner.after, ...outer.after],
          }),
          NONE,
        )
    case 'TemplateProcessing':
      return templateFrame(part)
    case 'ByteLevel':
      part.ignore('add_prefix_space', 'trim_offsets', 'use_regex')
      return NONE
    case 'RobertaProcessing':
    case 'BertProcessing':
      part.ignore('add_prefix_space', 'trim_offsets')
      return { before: [pairId(part, 'cls')], after: [pairId(part, 'sep')] }
    default:
      return part.refuseType(TYPES)
  }
}

/** `single` is a list of special tokens and the text (`Sequence`), which comes once. */
function templateFrame(part: Part): Frame {
  const special = part.child('special_tokens') ?? part.refuse('special_tokens is missing')
  const items = part
    .children('single')
    .map((item) => ({ token: item.child('SpecialToken'), text: item.child('Sequence') }))
  const at = items.findIndex(({ text }) => text !== null)
  if (items.filter(({ text }) => text !== null).length !== 1) part.refuse('single must have the text once')
  part.ignore('pair')
  const idsOf = (slice: typeof items): number[] =>
    slice.flatMap(({ token }) => {
      const name = token?.text('id') ?? part.refuse('single has an item of an unknown kind')
      const entry = special.child(name) ?? part.refuse(`special_tokens has no ${name}`)
      return entry.list('ids').map((id) => (typeof id === 'number' ? id : entry.refuse('ids must be numbers')))
    })
  return { before: idsOf(items.slice(0, at)), after: idsOf(items.slice(at + 1)) }
}

/** The id of a pair `[token, id]`. */
function pairId(part: Part, name: string): number {
  const id = part.list(name)[1]
  return typeof id === 'number' ? id : part.refuse(`${name} must be a token and its id`)
}
