// The gateway's own routes, called beside the queue of the app's requests.

import { Answer } from './answer.js'
import { invoke, pause } from './platform.js'

export const GATEWAY_TIMEOUT = 10000 // of login, renew and logout; the gateway gives WeChat 5 s

export class Gateway {
  constructor(platform, base, prefix) {
    this.platform = platform
    this.base = base
    this.prefix = prefix
  }

  send(method, path, data, token) {
    const header = { 'content-type': 'application/json' }
    if (token) header.Authorization = 'Bearer ' + token
    const url = this.base + this.prefix + path
    const options = { url, method, data, header, timeout: GATEWAY_TIMEOUT, dataType: 'json' }
    return invoke(this.platform, 'request', options, GATEWAY_TIMEOUT).promise.then((res) => new Answer(res))
  }

  // persist is send, again after each pause while answers get lost and wanted
  // says so.
  persist(method, path, data, token, pauses, wanted) {
    return this.send(method, path, data, token).catch((lost) => {
      if (!pauses.length || !wanted()) throw lost
      return pause(pauses[0]).then(() => {
        if (!wanted()) throw lost
        return this.persist(method, path, data, token, pauses.slice(1), wanted)
      })
    })
  }
}
