'use strict'
// A platform that throws where nobody expects it, and calls back more than once.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { settle } = require('./fake')
const { setUp, track } = require('./setup')

const MINUTE = 60000

test('what throws on the way to the platform costs no place, and nobody else', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  const hostile = () => ({
    get Cookie() {
      throw new Error('hostile header')
    }
  })
  const bad = Array.from({ length: 20 }, () => track(client.request({ url: '/bad', header: hostile() })))
  await settle()
  assert.ok(bad.every((end) => /hostile header/.test(end.err.message)))

  const real = wx.request
  wx.request = () => ({
    get then() {
      throw new Error('hostile task')
    }
  })
  const thens = Array.from({ length: 20 }, () => track(client.request({ url: '/bad' })))
  await settle()
  assert.ok(thens.every((end) => /hostile task/.test(end.err.message)))
  wx.request = real

  // Whoever ends runs the next one in the queue, and must not suffer for it.
  gateway.hold.add('/slow')
  const slow = Array.from({ length: 8 }, () => track(client.request({ url: '/slow' })))
  await settle()
  const queued = track(client.request({ url: '/bad', header: hostile() }))
  const behind = track(client.request({ url: '/b' }))
  await settle()
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.ok(slow.every((end) => end.res.statusCode === 200))
  assert.match(queued.err.message, /hostile header/)
  assert.equal(behind.res.statusCode, 200)
})

// Reported as failed, a caller would send it again.
test('a task that throws when it is listened to has been sent all the same', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  for (const kind of ['request', 'uploadFile']) {
    const real = wx[kind]
    wx[kind] = (options) => {
      const task = real(options)
      for (const event of ['HeadersReceived', 'ChunkReceived', 'ProgressUpdate']) {
        task['on' + event] = () => {
          throw new Error('not supported')
        }
      }
      return task
    }
    const call = client[kind]({ url: '/' + kind, method: 'POST', filePath: 'tmp://1', name: 'file' })
    call.onHeadersReceived(() => {})
    assert.equal((await call).statusCode, 200)
    assert.equal(gateway.count('/' + kind), 1)
    wx[kind] = real
  }
})

test('whoever calls back first is believed', async (t) => {
  const { wx, client } = setUp(t)
  await client.request({ url: '/a' })
  wx.request = ({ success, fail }) => {
    success({ statusCode: 200, data: 'first', header: { a: 'b' } })
    success({ statusCode: 200, data: 'second', header: { a: 'b' } })
    fail({ errMsg: 'request:fail' })
    throw new Error('late')
  }
  const ends = Array.from({ length: 20 }, () => track(client.request({ url: '/b' })))
  await settle()
  assert.ok(ends.every((end) => end.res.data === 'first'))
})

test('complete is called also if success throws', async () => {
  const { callBack } = await import('../src/call.js')
  const completed = []
  const success = () => {
    throw new Error('of the page')
  }
  assert.throws(() => callBack(success, (res) => completed.push(res), 1), /of the page/)
  assert.deepEqual(completed, [1])
})

test('a socket calls back once, also where the platform throws, fails or is late', async (t) => {
  const { wx, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  const open = async (connectSocket, more) => {
    const calls = []
    wx.connectSocket = connectSocket
    const note = (name) => () => calls.push(name)
    const options = { url: '/ws', success: note('success'), fail: note('fail'), complete: note('complete') }
    const end = track(client.connectSocket(Object.assign(options, more)))
    await settle()
    return { end, calls }
  }
  const throws = await open(() => {
    throw new Error('no sockets')
  })
  assert.match(throws.end.err.message, /no sockets/)
  assert.deepEqual(throws.calls, ['fail', 'complete'])

  const fails = await open(({ fail }) => {
    fail({ errMsg: 'connectSocket:fail' })
    fail({ errMsg: 'connectSocket:fail' })
    return new Promise(() => {})
  })
  assert.equal(fails.end.err.errMsg, 'connectSocket:fail')
  assert.deepEqual(fails.calls, ['fail', 'complete'])

  const opens = await open(({ success, fail }) => {
    setImmediate(() => {
      success({})
      success({})
      fail({})
    })
    return { close() {} }
  })
  assert.ok(opens.end.res)
  assert.deepEqual(opens.calls, ['success', 'complete'])

  for (const [limit, more] of [
    [3000, { timeout: 3000 }],
    [MINUTE, {}]
  ]) {
    let closed = 0
    let give
    const late = await open(
      ({ success }) =>
        new Promise((resolve) => {
          give = () => {
            success({})
            resolve({ close: () => closed++ })
          }
        }),
      more
    )
    await tick(limit)
    assert.equal(late.end.err.errMsg, 'connectSocket:fail timeout')
    give()
    await settle()
    assert.equal(closed, 1, 'a late socket stays open')
    assert.deepEqual(late.calls, ['fail', 'complete'])
  }
})
