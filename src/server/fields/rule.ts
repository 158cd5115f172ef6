/** The APIs whose bodies clients know from elsewhere, by the name of their folder. */
export type OpenAiApi = 'chat-completions' | 'completions' | 'responses' | 'generate' | 'tokenize' | 'detokenize'

/** Whose clients send a field. */
export type Origin = 'OpenAI' | 'vLLM' | 'llama.cpp' | 'others'

/** What becomes of a field that no schema names. Fields in a schema are honoured. */
export interface FieldRule {
  /** As in `stream_options.include_obfuscation` or `messages[].audio`. */
  readonly field: string
  readonly origin: Origin
  /** Null = all. */
  readonly apis: readonly OpenAiApi[] | null
  /** `refused`: it would change the answer and cannot be honoured. */
  readonly verdict: 'ignored' | 'refused'
  /** Why, and for a refusal what to send instead. */
  readonly because: string
  /** Values that ask for what happens anyway; taken without a word. */
  readonly harmless: (value: unknown, body: Readonly<Record<string, unknown>>) => boolean
}

interface Options {
  readonly apis?: readonly OpenAiApi[]
  readonly harmless?: FieldRule['harmless']
}

const never = (): boolean => false

/** Makes the rules of one origin. */
export function rulesOf(origin: Origin) {
  const make =
    (verdict: FieldRule['verdict']) =>
    (field: string, because: string, { apis, harmless = never }: Options = {}): FieldRule => ({
      ...{ field, origin, apis: apis ?? null, verdict, because, harmless },
    })
  return { ignored: make('ignored'), refused: make('refused') }
}

/** Accepts these values as asking for what happens anyway. */
export function only(...values: readonly unknown[]): FieldRule['harmless'] {
  return (value) => values.includes(value)
}

/** Accepts an empty list or text. */
export function empty(value: unknown): boolean {
  return value === '' || (Array.isArray(value) && value.length === 0)
}
