'use strict'
const { createClient } = require('..')
const { Gateway, fakeWx, settle } = require('./fake')

// setUp is a client on a fake platform whose clock stands still until tick.
function setUp(t, options) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 })
  const gateway = new Gateway()
  const wx = fakeWx(gateway)
  const another = (more) => createClient(Object.assign({ baseURL: 'https://example.com', wx }, options, more))
  const tick = async (ms) => {
    await settle()
    t.mock.timers.tick(ms)
    await settle()
  }
  return { gateway, wx, client: another(), another, tick }
}

// track runs beside the test and remembers how a promise ended.
function track(promise) {
  const end = {}
  promise.then(
    (res) => {
      end.res = res
    },
    (err) => {
      end.err = err
    }
  )
  return end
}

module.exports = { setUp, track }
