/** How the peer runs a batch of requests. */
export type Setup =
  /** One context with a sequence for every request, on the base. */
  | 'sequences'
  /** A context with its adapter for every request, all at once. */
  | 'contexts'
  /** The same contexts, one request after the other. */
  | 'turns'

/** Files and sizes the peer starts with. */
export interface PeerFiles {
  readonly model: string
  readonly adapters: readonly string[]
  readonly threads: number
  /** Tokens of one sequence. */
  readonly contextSize: number
}

export type ToPeer =
  | { readonly type: 'open'; readonly files: PeerFiles }
  | {
      readonly type: 'run'
      readonly setup: Setup
      readonly prompts: readonly (readonly number[])[]
      readonly newTokens: number
    }

/** One request as it ran: milliseconds on the peer's clock. */
export interface PeerRun {
  readonly startedAt: number
  readonly arrivals: readonly number[]
}

export type FromPeer =
  { readonly type: 'done'; readonly runs: readonly PeerRun[] } | { readonly type: 'failed'; readonly message: string }
