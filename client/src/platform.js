// Calls of the platform that end, whatever the platform does.

import { failure } from './answer.js'

const MAX_DELAY = 0x7fffffff // setTimeout takes no more
const SINGLE_PAGE = 1154 // scene of a page shown in Moments: no wx.login there

export function later(ms, run) {
  return setTimeout(run, Math.min(ms, MAX_DELAY))
}

export function pause(ms) {
  return new Promise((resolve) => later(ms, resolve))
}

// within gives up on a promise after some time.
export function within(promise, ms, giveUp) {
  return new Promise((resolve, reject) => {
    const timer = later(ms, () => reject(giveUp()))
    const done = (settle) => (value) => {
      clearTimeout(timer)
      settle(value)
    }
    promise.then(done(resolve), done(reject))
  })
}

// invoke makes one call of the platform, and gives its promise and a function
// that ends it now. Callbacks, returned promises (Taro, uni-app) and exceptions
// are all believed, whichever comes first; what comes later is dropped. watch is
// shown the task.
export function invoke(platform, name, options, limit, watch) {
  let cancel
  const promise = new Promise((resolve, reject) => {
    let over = false
    let task = null
    const settle = (how, value) => {
      if (over) return
      over = true
      clearTimeout(timer)
      how(value)
    }
    const abort = () => {
      try {
        if (task && typeof task.abort === 'function') task.abort()
      } catch (e) {
        // it has ended for us
      }
    }
    const take = (value) => {
      if (!value || (typeof value !== 'object' && typeof value !== 'function')) return
      task = value
      if (over) abort()
      else if (watch) watch(task)
    }
    cancel = (err) => {
      if (over) return
      settle(reject, err)
      abort()
    }
    const timer = later(limit, () => cancel({ errMsg: name + ':fail timeout' }))
    const success = (res) => settle(resolve, res || {})
    const fail = (err) => settle(reject, asError(name, err))
    const heed = (value) => {
      if (!value || typeof value !== 'object') return // an interceptor's own; the callbacks come
      if (typeof value.abort === 'function') {
        if (!over) take(value) // uni-app's asynchronous interceptors give the task late
      } else if ('statusCode' in value || 'code' in value) success(value)
    }
    try {
      take(platform[name](Object.assign({}, options, { success, fail })))
      if (task && typeof task.then === 'function') task.then(heed, fail)
    } catch (err) {
      fail(err)
    }
  })
  return { promise, cancel }
}

function asError(name, err) {
  if (err instanceof Error) return err.errMsg ? err : Object.assign(err, { errMsg: name + ':fail ' + err.message })
  if (err && typeof err === 'object') return err
  return failure(name + ':fail ' + (err === undefined ? 'not sent' : String(err)))
}

export function entryScene(platform) {
  const get = platform.getEnterOptionsSync || platform.getLaunchOptionsSync
  try {
    return get ? get.call(platform).scene : undefined
  } catch (e) {
    return undefined
  }
}

export function isSinglePage(platform) {
  return entryScene(platform) === SINGLE_PAGE
}

// A Record is an object in the platform's storage. Storage may be full or
// denied; then memory has to do.
export class Record {
  constructor(platform, key) {
    this.platform = platform
    this.key = key
  }

  read() {
    try {
      const value = this.platform.getStorageSync(this.key)
      return value && typeof value === 'object' ? value : null
    } catch (e) {
      return null
    }
  }

  write(value) {
    try {
      this.platform.setStorageSync(this.key, value)
    } catch (e) {
      // memory has it
    }
  }
}

// removeFile removes what was downloaded and is no file of the app.
export function removeFile(platform, filePath) {
  if (!filePath) return
  const ignore = () => {}
  try {
    const files = platform.getFileSystemManager()
    if (typeof files.unlinkSync === 'function') files.unlinkSync(filePath)
    else files.unlink({ filePath, success: ignore, fail: ignore })
  } catch (e) {
    // there is none, or it cannot be removed
  }
}
