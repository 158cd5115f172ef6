/** Everything in the API's description that no route says. */
export const OPENAPI_BASE = {
  openapi: '3.1.0',
  info: {
    title: 'Troupe',
    version: '1',
    description:
      'One frozen base model, many adapters, applied per request. Names with an owner (`acme/invoice`) are written with `%2F` in paths. ' +
      'Unknown fields are refused, `null` means "not given". Errors are listed in docs/errors.md.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/', description: 'The server that answers this.' }],
  tags: [
    { name: 'generation', description: 'Run tasks.' },
    { name: 'openai', description: 'The routes OpenAI’s clients know.' },
    { name: 'evaluation', description: 'Compare mixes and score them.' },
    { name: 'tasks', description: 'Stable names that point to adapter versions.' },
    { name: 'adapters', description: 'Adapters and their immutable versions.' },
    { name: 'tenants', description: 'Owners of adapters and tasks, and their keys.' },
    { name: 'vllm', description: 'The calls that controllers made for vLLM know.' },
    { name: 'text', description: 'Tokens and text.' },
    { name: 'operations', description: 'Health and metrics.' },
  ],
  components: {
    securitySchemes: {
      bearer: { type: 'http' as const, scheme: 'bearer' },
      apiKey: { type: 'apiKey' as const, in: 'header' as const, name: 'x-api-key' },
    },
  },
  security: [{ bearer: [] }, { apiKey: [] }] as Record<string, string[]>[],
}
