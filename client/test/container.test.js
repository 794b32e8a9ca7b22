'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { createClient } = require('..')
const { Gateway, fakeWx, json, settle } = require('./fake')

function setUp() {
  const gateway = new Gateway()
  const wx = fakeWx(gateway)
  return { gateway, wx, client: createClient({ baseURL: 'https://example.com', wx }) }
}

test('callContainer takes the options of Cloud Hosting and gives its results', async () => {
  const { gateway, client } = setUp()
  gateway.answers['/api/list'] = [json(200, { list: [] }, { 'X-Request-ID': 'abc' })]
  const res = await client.callContainer({
    config: { env: 'prod-1a2b3c' },
    path: '/api/list?page=2',
    method: 'POST',
    data: { n: 1 },
    header: { 'X-WX-SERVICE': 'main', 'X-WX-EXCLUDE-CREDENTIALS': 'unionid' },
    timeout: 1234
  })
  assert.equal(res.errMsg, 'cloud.callContainer:ok')
  assert.equal(res.statusCode, 200)
  assert.deepEqual(res.data, { list: [] })
  assert.deepEqual(res.cookies, [])
  assert.equal(res.callID, 'abc')
  assert.equal(res.header['content-type'], 'application/json')
  const sent = gateway.requests.at(-1)
  assert.equal(sent.url, 'https://example.com/api/list?page=2')
  assert.equal(sent.method, 'POST')
  assert.deepEqual(sent.data, { n: 1 })
  assert.equal(sent.header['X-WX-SERVICE'], 'main')
  assert.equal(sent.header['X-WX-EXCLUDE-CREDENTIALS'], 'unionid')
  assert.equal(sent.token, 'token-1')
  assert.equal(sent.timeout, 1234)
})

test('callContainer logs in once more like any request', async () => {
  const { gateway, wx, client } = setUp()
  await client.callContainer({ path: 'api' })
  gateway.live.clear()
  assert.equal((await client.callContainer({ path: 'api', service: 'orders' })).statusCode, 200)
  assert.equal(wx.logins, 2)
  assert.equal(gateway.requests.at(-1).header['X-WX-SERVICE'], 'orders')
})

test('callContainer with callbacks returns nothing, and every status is a result', async () => {
  const { gateway, client } = setUp()
  gateway.answers['/api'] = [json(500, { broken: true })]
  const told = []
  const returned = client.callContainer({
    path: '/api',
    success: (res) => told.push(['success', res.statusCode]),
    fail: () => told.push(['fail']),
    complete: (res) => told.push(['complete', res.errMsg])
  })
  assert.equal(returned, undefined)
  await settle()
  assert.deepEqual(told, [
    ['success', 500],
    ['complete', 'cloud.callContainer:ok']
  ])
})

test('callContainer fails in its own name', async () => {
  const { gateway, client } = setUp()
  await client.request({ url: '/' })
  gateway.answers['/api'] = [{ lost: 'timeout' }, { lost: 'timeout' }]
  await assert.rejects(client.callContainer({ path: '/api' }), (err) => {
    assert.equal(err.errMsg, 'cloud.callContainer:fail timeout')
    assert.equal(err.errCode, -1)
    return true
  })
  const told = []
  client.callContainer({ path: '/api', fail: (err) => told.push(err.errMsg), complete: () => told.push('complete') })
  await settle()
  assert.deepEqual(told, ['cloud.callContainer:fail timeout', 'complete'])
})

test('the token goes nowhere else by callContainer either', async () => {
  const { gateway, client } = setUp()
  await client.callContainer({ path: 'https://evil.example/x' }).catch(() => {})
  assert.ok(gateway.requests.every((r) => r.url.startsWith('https://example.com/')))
})
