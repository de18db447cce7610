/** Made by web/languages.mjs of the files in a folder: code (BCP 47) -> what loads them. */
declare module 'languages:*' {
  export const languages: Record<string, (() => Promise<{ words: Record<string, string> }>) | undefined>;
}
