// Events of the platform's task, held back until it is known that they belong
// to the answer that the caller gets.

import { Answer } from './answer.js'
import { later } from './platform.js'

const EVENTS = ['HeadersReceived', 'ChunkReceived', 'ProgressUpdate']

// Listeners are the caller's, for all attempts of one call.
export class Listeners {
  constructor() {
    this.of = { HeadersReceived: [], ChunkReceived: [], ProgressUpdate: [] }
    this.onFirst = () => {} // is told of an event that somebody listens to now
  }

  has(event) {
    return this.of[event].length > 0
  }

  // offer gives a promise the methods of wx's task.
  offer(promise) {
    EVENTS.forEach((event) => {
      promise['on' + event] = (listener) => {
        this.of[event].push(listener)
        this.onFirst(event)
      }
      promise['off' + event] = (listener) => {
        this.of[event] = listener ? this.of[event].filter((other) => other !== listener) : []
      }
    })
  }

  // tell calls the listeners. What one throws is the page's, and keeps nobody
  // from an answer.
  tell(event, res) {
    this.of[event].slice().forEach((listener) => {
      try {
        listener(res)
      } catch (err) {
        later(0, () => {
          throw err
        })
      }
    })
  }
}

// An Attempt hears the events of one call of the platform.
export class Attempt {
  constructor(kind, listeners, isFinal) {
    this.kind = kind
    this.listeners = listeners
    this.isFinal = isFinal // says whether an answer with these headers reaches the caller
    this.header = undefined // from an event
    this.task = null
    this.heard = {}
    this.held = []
    this.open = false
    this.closed = false
  }

  watch(task) {
    this.task = task
    this.heard = {}
    // The results of requests have headers everywhere.
    if (this.kind !== 'request') this.hear('HeadersReceived')
    EVENTS.filter((event) => this.listeners.has(event)).forEach((event) => this.hear(event))
  }

  hear(event) {
    if (event !== 'HeadersReceived') this.hear('HeadersReceived') // to know whose events they are
    const on = this.task && this.task['on' + event]
    if (this.heard[event] || typeof on !== 'function') return
    this.heard[event] = true
    try {
      on.call(this.task, (res) => this.take(event, res))
    } catch (e) {
      // It tells nothing. The call has been sent all the same.
    }
  }

  take(event, res) {
    if (this.closed) return
    if (event === 'HeadersReceived' && res && res.header) this.header = res.header
    // What has been sent is known long before whose the answer will be.
    const early = this.kind === 'uploadFile' && event === 'ProgressUpdate'
    if (this.open || early) return this.listeners.tell(event, res)
    this.held.push([event, res])
    if (event === 'HeadersReceived' && res && this.isFinal(new Answer(res))) this.deliver()
  }

  deliver() {
    const held = this.held
    this.open = true
    this.held = []
    held.forEach(([event, res]) => this.listeners.tell(event, res))
  }

  // end is for the answer that the caller gets. The text of a refusal is in no
  // event: a page would show it as its own.
  end(refused) {
    if (refused) this.held = this.held.filter(([event]) => event === 'HeadersReceived')
    this.deliver()
    this.drop()
  }

  drop() {
    this.closed = true
    this.held = []
  }
}
