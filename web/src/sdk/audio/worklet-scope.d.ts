// The parts of AudioWorkletGlobalScope that the worklets use (W3C Web Audio API 1.1); TypeScript's DOM
// library does not declare them.

declare const sampleRate: number;
declare const currentFrame: number;

declare abstract class AudioWorkletProcessor {
  readonly port: MessagePort;
  abstract process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean;
}

declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
