/** Why a request's signal was aborted: whoever reads the answer went away before it was complete. */
export class ReaderGoneError extends Error {
  constructor() {
    super('the client closed the connection')
    this.name = 'ReaderGoneError'
  }
}
