'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { json, settle } = require('./fake')
const { setUp, track } = require('./setup')

const stale = (form) => Object.assign(json(409, form({ error: 'session_key_stale' })), {})
const data = (n) => ({ encryptedData: 'data-' + n, iv: 'iv-' + n, errMsg: 'getWeRunData:ok' })

test('encrypted data is asked for after the login, and sent with what belongs to it', async (t) => {
  const { gateway, wx, client } = setUp(t)
  const seen = []
  const get = async () => {
    seen.push(wx.logins)
    return data(seen.length)
  }
  const res = await client.openData(get, { url: '/steps', data: { day: 1 }, header: { 'X-A': 'b' } })
  assert.equal(res.statusCode, 200)
  const request = gateway.requests.at(-1)
  assert.deepEqual(request.data, { day: 1, encrypted_data: 'data-1', iv: 'iv-1' })
  assert.equal(request.method + request.header['X-A'], 'POSTb')
  assert.deepEqual(seen, [1])
  assert.deepEqual(await client.openData(data(7)), { encrypted_data: 'data-7', iv: 'iv-7' })
  assert.equal(wx.logins, 1)
})

test('a stale key is a new login and new data, once', async (t) => {
  for (const form of [(body) => body, JSON.stringify]) {
    const { gateway, wx, client } = setUp(t)
    let asked = 0
    const get = () => data(++asked)
    gateway.answers['/steps'] = [stale(form)]
    assert.equal((await client.openData(get, { url: '/steps' })).statusCode, 200)
    assert.deepEqual(
      gateway.requests.filter((r) => r.path === '/steps').map((r) => [r.token, r.data.iv]),
      [
        ['token-1', 'iv-1'],
        ['token-2', 'iv-2']
      ]
    )
    gateway.answers['/steps'] = [stale(form), stale(form), json(200, {})]
    assert.equal((await client.openData(get, { url: '/steps' })).statusCode, 409)
    assert.equal(wx.logins, 3)
    t.mock.timers.reset()
  }
})

test("a result of wx cannot be asked for again: the page's user has to", async (t) => {
  const { gateway, wx, client } = setUp(t)
  gateway.answers['/steps'] = [stale((body) => body)]
  const told = []
  const fail = (err) => told.push(err.error)
  await assert.rejects(client.openData(data(1), { url: '/steps', fail }), {
    error: 'session_key_stale',
    statusCode: 409
  })
  assert.deepEqual(told, ['session_key_stale'])
  assert.equal(wx.logins, 2)
  assert.equal(gateway.count('/steps'), 1)
})

test("another 409 is the app's", async (t) => {
  const { gateway, wx, client } = setUp(t)
  for (const body of [{ error: 'taken' }, 'session_key_stale', null, '']) {
    gateway.answers['/steps'] = [json(409, body)]
    assert.equal((await client.openData(data(1), { url: '/steps' })).statusCode, 409)
  }
  gateway.answers['/steps'] = [json(200, { error: 'session_key_stale' })]
  assert.equal((await client.openData(data(1), { url: '/steps' })).statusCode, 200)
  assert.equal(wx.logins, 1)
})

test('what goes wrong reaches the page', async (t) => {
  const { gateway, client, tick } = setUp(t)
  const denied = { errMsg: 'getWeRunData:fail auth deny' }
  await assert.rejects(
    client.openData(() => Promise.reject(denied), { url: '/steps' }),
    denied
  )
  await assert.rejects(
    client.openData(() => {
      throw new Error('of the page')
    }),
    /of the page/
  )
  for (const bad of [undefined, null, {}, { encryptedData: 'x' }, { iv: 'x' }]) {
    await assert.rejects(client.openData(bad, { url: '/steps' }), /no encryptedData/)
  }
  assert.equal(gateway.count('/steps'), 0)
  let give
  const end = track(client.openData(() => new Promise((resolve) => (give = resolve)), { url: '/steps', timeout: 5000 }))
  await tick(5000)
  assert.deepEqual(end.err, { errMsg: 'openData:fail timeout' })
  give(data(1))
  await settle()
  assert.equal(gateway.count('/steps'), 0, 'it was sent after it had ended')
})

test('data of one user is not sent by the next one', async (t) => {
  const { gateway, client } = setUp(t)
  let give
  const end = track(client.openData(() => new Promise((resolve) => (give = resolve)), { url: '/steps' }))
  await settle()
  await client.logout()
  await client.login()
  give(data(1))
  await settle()
  assert.match(end.err.errMsg, /logged out/)
  assert.equal(gateway.count('/steps'), 0)
})
