import { join } from 'node:path'
import { engineThreads } from '../config/cpu-quota.ts'
import type { Settings } from '../config/schema.ts'
import { ensureWritableFolder } from '../config/writable-folder.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { Engine } from '../engine/engine.ts'
import { GrammarCompiler } from '../grammar/compiler.ts'
import { checkpointNames } from '../model/checkpoint.ts'
import { defaultCacheDir, prepareModel } from '../model/prepare.ts'
import { chooseReference } from '../reference/choice.ts'
import { isBucket, openStore } from '../store/open.ts'
import type { Logger } from '../telemetry/log.ts'
import type { GenerationDefaults } from '../text/generation-defaults.ts'
import { readGenerationDefaults } from '../text/generation-defaults.ts'
import { ModelText } from '../text/model-text.ts'
import { fillDefaultStore } from './default-store.ts'
import { checkDevice } from './device-check.ts'
import { renderMemoryPlan } from './memory-plan.ts'
import { adapterFormat, threadCount } from './model-limits.ts'
import { Rooms } from './rooms.ts'
import { checkServerPlan, planServer } from './server-plan.ts'
import { WeightsCheck } from './weights-check.ts'

/** Bytes done of bytes in total, and what is at hand. */
export type Progress = (done: number, total: number, what: string) => void

/** Everything behind HTTP, running. */
export interface Backend {
  readonly info: ModelInfo
  readonly maxContext: number
  readonly text: ModelText
  readonly grammars: GrammarCompiler
  readonly modelDefaults: GenerationDefaults
  readonly engine: Engine
  readonly rooms: Rooms
  readonly weightsCheck: WeightsCheck
  /** The rooms first: their probes need the engine. */
  close(): Promise<void>
}

/**
 * Prepares the model where that was not done yet and starts engine and store on it. When a step fails, what was started is stopped.
 *
 * @throws TroupeError `invalid_config`, `invalid_model`, `storage_error`, `device_unavailable`
 */
export async function openBackend(settings: Settings, log: Logger, onProgress?: Progress): Promise<Backend> {
  const cacheDir = settings.cacheDir ?? defaultCacheDir()
  if (!isBucket(settings.store)) ensureWritableFolder('store', settings.store)
  ensureWritableFolder('cacheDir', cacheDir)
  checkDevice()
  const plan = await planServer(settings)
  const { precision, maxContext, kv } = plan
  for (const warning of checkServerPlan(plan)) log.warn(warning)
  log.info({ plan: renderMemoryPlan(plan.memory) }, 'memory is planned')
  const prepared = await prepareModel({
    modelDir: settings.model,
    precision,
    cacheDir,
    name: settings.name,
    onProgress,
  })
  const { dir, manifest } = prepared
  const text = await ModelText.load(settings.model, maxContext)
  const modelDefaults = await readGenerationDefaults(settings.model)

  const { device, maxBatch, stepTokens, speculation } = settings
  const engine = await Engine.start({
    ...{ preparedDir: dir, device, maxBatch, maxContext, stepTokens, speculation },
    name: manifest.info.name,
    kvPages: kv.pages,
    kvFormat: kv.format,
    adapterFormat: adapterFormat(manifest.info, settings.adapterPrecision),
    threads: threadCount(engineThreads(settings.threads)),
  })
  engine.onFault = (message) => log.error({ message }, 'the engine failed')
  try {
    fillDefaultStore(settings.store)
    const open = await openStore({
      location: settings.store,
      cacheDir: join(cacheDir, 'stores'),
      cacheBytes: settings.storeCacheBytes,
    })
    const rooms = await Rooms.open({
      open,
      host: engine,
      reader: { modelDir: settings.model },
      reference: chooseReference(settings.mergedProbe, prepared),
      memory: { budgetBytes: settings.memoryBytes },
      ...(!settings.allowBaseMismatch && { baseNames: [manifest.info.name, ...checkpointNames(settings.model)] }),
      log,
    })
    const grammars = new GrammarCompiler(text.tokenBytesOf(manifest.info.vocab))
    void grammars.start()
    const weightsCheck = new WeightsCheck(prepared, log, (refusal) => engine.refuse(refusal))
    const close = async (): Promise<void> => {
      await weightsCheck.close()
      await grammars.close()
      await rooms.close()
      await engine.stop()
    }
    return { info: engine.info, maxContext, text, grammars, modelDefaults, engine, rooms, weightsCheck, close }
  } catch (error) {
    await engine.stop()
    throw error
  }
}
