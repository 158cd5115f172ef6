/** What the benchmark uses of the package, which is installed only where it is measured. */
declare module 'node-llama-cpp' {
  export interface LlamaContextSequence {
    clearHistory(): Promise<void>
    evaluate(
      tokens: readonly number[],
      options: { readonly temperature: number; readonly yieldEogToken: boolean },
    ): AsyncGenerator<number>
  }
  export interface LlamaContext {
    getSequence(): LlamaContextSequence
  }
  export interface LlamaModel {
    createContext(options: {
      readonly contextSize: number
      readonly sequences: number
      readonly threads: number
      readonly lora?: string
    }): Promise<LlamaContext>
  }
  export interface Llama {
    loadModel(options: { readonly modelPath: string; readonly gpuLayers: number }): Promise<LlamaModel>
  }
  export function getLlama(options: {
    readonly gpu: false
    readonly build: 'never'
    readonly maxThreads: number
    readonly logLevel: 'error'
    readonly progressLogs: boolean
  }): Promise<Llama>
}
