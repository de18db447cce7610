/** Made by web/languages.mjs of the folders of words: code (BCP 47) -> what loads a part of them. */
declare module 'languages:*' {
  export const languages: Record<string, (() => Promise<{ words: Record<string, string> }>) | undefined>;
}

/** The same for a part that is wanted in all languages at once. */
declare module 'all-languages:*' {
  export const languages: Record<string, Record<string, string>>;
}
