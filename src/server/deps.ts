import type { JsonObject } from '../core/json.ts'
import type { GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { EngineStats } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { AdapterPage, PageOptions } from '../registry/adapter-view.ts'
import type { VersionNotes } from '../registry/adapter-notes.ts'
import type { Claim } from '../registry/leases.ts'
import type { Origin } from '../registry/intake.ts'
import type { LoadPlan } from '../registry/load-plan.ts'
import type { MergeInput } from '../registry/merges.ts'
import type { NotesInput } from '../registry/notes-book.ts'
import type { PendingUpload } from '../registry/pending-uploads.ts'
import type { Proof } from '../registry/proof.ts'
import type {
  AdapterRecord,
  Lease,
  Resolution,
  Route,
  Target,
  TaskRecord,
  VersionRecord,
  VersionSource,
} from '../registry/records.ts'
import type { Deletion } from '../registry/removal.ts'
import type { Staging } from '../registry/store/port.ts'
import type { TaskInput } from '../registry/task-changes.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { ShadowRuns } from './shadow/shadow-runs.ts'
import type { Admission } from '../tenancy/admission.ts'
import type { Keyring } from '../tenancy/keys.ts'

/** What the routes need of the engine. */
export interface GenerationEngine {
  readonly info: ModelInfo
  generate(request: GenerationRequest, signal?: AbortSignal): AsyncGenerator<GenerationEvent, void, void>
  stats(): Promise<EngineStats>
}

/** A message of a conversation as the chat template sees it. */
export interface ChatMessage {
  readonly role: string
  readonly content: string
  readonly name?: string
  readonly tool_calls?: readonly JsonObject[]
  readonly tool_call_id?: string
}

/** Takes calls of tools out of an answer that comes in pieces; `arguments` is a JSON object as text. */
export interface CallScanner {
  push(piece: string): ScannedCalls
  /** What is still held back. */
  flush(): ScannedCalls
}

export interface ScannedCalls {
  readonly text: string
  readonly calls: readonly { readonly name: string; readonly arguments: string }[]
}

/** Turns tokens of one sequence into text as they come; incomplete characters are held back. */
export interface TokenText {
  push(token: number): string
  /** What is still held back, incomplete characters as U+FFFD. */
  flush(): string
}

/** Looks for stop strings in text that comes in pieces; what could begin one is held back. */
export interface StopScanner {
  /** `text` is final; `stopped` = a stop string came right after it. */
  push(piece: string): { readonly text: string; readonly stopped: boolean }
  /** What is still held back. */
  flush(): string
}

/** What the routes need of tokenizer and chat template. */
export interface TextPort {
  /** Tokens that end a sequence. */
  readonly eosIds: readonly number[]
  /** Throws `prompt_too_long` for a text that cannot fit, before time is spent on it. */
  encode(text: string, addSpecialTokens: boolean): readonly number[]
  /** The text of tokens, special tokens left out. */
  decode(tokens: readonly number[]): string
  /** The text of a single token, special tokens shown. */
  tokenText(token: number): string
  /** The UTF-8 bytes of a single token; several tokens may share a character. */
  tokenBytes(token: number): Uint8Array
  /** `shown` are special tokens that become text nevertheless. */
  detokenizer(shown?: readonly number[]): TokenText
  stopStrings(stops: readonly string[]): StopScanner
  /** The conversation as a prompt that ends where the answer begins. Throws `invalid_request` when the model has no template for it. */
  renderChat(messages: readonly ChatMessage[], tools?: readonly JsonObject[]): string
  /** Special tokens that calls of tools are written with. */
  readonly toolMarkers: readonly number[]
  /** What an answer that calls this function (null = any) begins with; null when the model's way of writing calls is not known. */
  toolOpening(name: string | null): string | null
  /** `begun` = what of the answer stands in the prompt. Null when the model's way of writing calls is not known: they stay text. */
  toolScanner(names: ReadonlySet<string>, begun?: string): CallScanner | null
}

/** What the routes need of the registry. `tenant` is the caller's view: `*` sees everything. */
export interface RegistryPort {
  resolve(target: Target, tenant: string): Resolution
  /** Keeps the versions until it is released, also while the request only waits. */
  claim(resolution: Resolution): Claim
  acquire(resolution: Resolution, wait?: boolean): Promise<Lease>
  plan(items: readonly { readonly name: string; readonly version?: number }[], tenant: string): Promise<LoadPlan>
  importFolder(name: string, path: string, within: string, by: string): Promise<{ readonly created: boolean }>
  deletedVersion(name: string, version: number, tenant: string): VersionRecord | null
  prefetch(resolution: Resolution): void
  stageUpload(): Promise<Staging>
  beginUpload(adapter: string, notes: VersionNotes, source: VersionSource): PendingUpload
  mergeInto(staging: Staging, input: MergeInput, tenant: string): Promise<string>
  describeAdapter(name: string, input: NotesInput): Promise<AdapterRecord>
  describeVersion(name: string, version: number, notes: VersionNotes): Promise<VersionRecord>
  retryVersion(name: string, version: number): Promise<VersionRecord>
  proofOf(record: VersionRecord): Promise<Proof | null>
  addVersion(
    name: string,
    staging: Staging,
    origin: Origin,
  ): Promise<{ readonly record: VersionRecord; readonly created: boolean }>
  pageAdapters(tenant: string, options: PageOptions): AdapterPage
  listAdapters(tenant: string): readonly AdapterRecord[]
  getAdapter(name: string, tenant: string): AdapterRecord
  deleteAdapter(name: string, drainSeconds?: number): Promise<Deletion>
  deleteVersion(name: string, version: number, drainSeconds?: number): Promise<Deletion>
  putTask(name: string, input: TaskInput, by: string): Promise<{ readonly task: TaskRecord; readonly created: boolean }>
  activate(
    task: string,
    route: { readonly adapter: string; readonly version?: number },
    by: string,
  ): Promise<{ readonly task: TaskRecord; readonly previous: readonly Route[] }>
  rollback(task: string, by: string): Promise<{ readonly task: TaskRecord; readonly previous: readonly Route[] }>
  /** By name. */
  listTasks(tenant: string): readonly TaskRecord[]
  getTask(name: string, tenant: string): TaskRecord
  deleteTask(name: string): Promise<void>
}

/** Limits and switches of the HTTP side. */
export interface ServerSettings {
  /** Longest prompt + completion of one sequence, in tokens. */
  readonly maxContext: number
  /** Bytes of a JSON body. */
  readonly bodyLimitBytes: number
  /** Bytes of all files of one upload together. */
  readonly uploadLimitBytes: number
  /** Put the prompts' texts into the log. */
  readonly logPrompts: boolean
}

/** What the routes are built from. */
export interface RouteDeps extends ServerDeps {
  readonly shadows: ShadowRuns
}

/** Everything the HTTP side is built from. */
export interface ServerDeps {
  readonly engine: GenerationEngine
  readonly registry: RegistryPort
  readonly text: TextPort
  readonly keyring: Keyring
  readonly admission: Admission
  readonly metrics: Metrics
  readonly log: Logger
  readonly settings: ServerSettings
  /** Reasons why the server should get no traffic now; empty = ready. */
  readiness(): Promise<readonly string[]>
}
