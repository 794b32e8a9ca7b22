'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { json, refusal, settle } = require('./fake')
const { setUp, track } = require('./setup')

// sign answers as the gateway does.
const sign = (expiresIn) => (request) => {
  const url = (path, i) => path + (path.includes('?') ? '&' : '?') + 'wechat_sig=' + request.token + '.' + i
  const { path, paths } = request.data
  return json(
    200,
    path ? { url: url(path, 0), expires_in: expiresIn } : { urls: paths.map(url), expires_in: expiresIn }
  )
}
const asked = (gateway, path) => gateway.requests.filter((r) => r.path === path).map((r) => r.data)

test('webViewURL posts a path and gives the address', async (t) => {
  const { gateway, client } = setUp(t)
  const url = 'https://example.com/wechat/enter?t=abc'
  gateway.answers['/wechat/ticket'] = [
    json(200, { url, expires_in: 60 }),
    json(200, { url, expires_in: 60 }),
    refusal(503, 'store_unavailable')
  ]
  assert.equal(await client.webViewURL('/page?x=1#part'), url)
  assert.equal(await client.webViewURL('https://example.com/page'), url)
  assert.deepEqual(asked(gateway, '/wechat/ticket'), [{ to: '/page?x=1#part' }, { to: '/page' }])
  const request = gateway.requests.at(-1)
  assert.equal(request.method, 'POST')
  assert.equal(request.token, 'token-1')
  await assert.rejects(client.webViewURL('/page'), {
    error: 'store_unavailable',
    errMsg: 'webViewURL:fail store_unavailable'
  })
  await assert.rejects(client.webViewURL('https://evil.example/'), TypeError)
})

test('paths are those that the server sees', async (t) => {
  const { gateway, another } = setUp(t)
  const client = another({ baseURL: 'https://example.com/shop' })
  gateway.answers['/shop/wechat/login'] = [json(200, { token: 't', expires_in: 7200 })]
  gateway.answers['/shop/wechat/ticket'] = [json(200, { url: 'x', expires_in: 60 })]
  gateway.answers['/shop/wechat/sign'] = [sign(300)]
  await client.webViewURL('/page')
  assert.deepEqual(asked(gateway, '/shop/wechat/ticket'), [{ to: '/shop/page' }])
  assert.equal(await client.signedURL('/a.jpg'), 'https://example.com/shop/a.jpg?wechat_sig=t.0')
})

test('what is signed at once is one request, and known until it is renewed', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  gateway.answers['/wechat/sign'] = Array.from({ length: 9 }, () => sign(300))
  const urls = await Promise.all(['/a.jpg', '/b.jpg?w=1', '/a.jpg'].map((path) => client.signedURL(path)))
  assert.deepEqual(urls, [
    'https://example.com/a.jpg?wechat_sig=token-1.0',
    'https://example.com/b.jpg?w=1&wechat_sig=token-1.1',
    'https://example.com/a.jpg?wechat_sig=token-1.0'
  ])
  assert.deepEqual(asked(gateway, '/wechat/sign'), [{ paths: ['/a.jpg', '/b.jpg?w=1'] }])
  await tick(149000)
  assert.equal(await client.signedURL('/a.jpg'), urls[0])
  await tick(1000)
  await client.signedURL('/a.jpg')
  await client.signedURL('/a.jpg', { expiresIn: 600 })
  assert.deepEqual(asked(gateway, '/wechat/sign').slice(1), [{ path: '/a.jpg' }, { path: '/a.jpg', expires_in: 600 }])
  await client.login() // the signatures end with the session
  assert.equal(await client.signedURL('/b.jpg?w=1'), 'https://example.com/b.jpg?w=1&wechat_sig=token-2.0')
})

test('many paths are several requests', async (t) => {
  const { gateway, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.answers['/wechat/sign'] = Array.from({ length: 9 }, () => sign(300))
  await Promise.all(Array.from({ length: 120 }, (_, i) => client.signedURL('/' + i)))
  assert.deepEqual(
    asked(gateway, '/wechat/sign').map((data) => data.paths.length),
    [50, 50, 20]
  )
  await Promise.all(Array.from({ length: 40 }, (_, i) => client.signedURL('/' + i + 'x'.repeat(2000))))
  assert.deepEqual(
    asked(gateway, '/wechat/sign')
      .slice(3)
      .map((data) => data.paths.length),
    [29, 11]
  )
  assert.ok(gateway.requests.every((r) => JSON.stringify(r.data || '').length < 65536))
})

test('one bad path does not cost the others, and failures are not kept', async (t) => {
  const { gateway, client } = setUp(t)
  await client.request({ url: '/a' })
  const bad = (request) =>
    JSON.stringify(request.data).includes('..') ? refusal(400, 'invalid_request') : sign(300)(request)
  gateway.answers['/wechat/sign'] = [bad, bad, bad]
  const [good, wrong] = [client.signedURL('/a.jpg'), client.signedURL('/../b.jpg')].map(track)
  await settle()
  assert.match(good.res, /wechat_sig/)
  assert.equal(wrong.err.error, 'invalid_request')
  gateway.answers['/wechat/sign'] = [refusal(503, 'store_unavailable'), sign(300)]
  await assert.rejects(client.signedURL('/c.jpg'), { error: 'store_unavailable' })
  assert.match(await client.signedURL('/c.jpg'), /wechat_sig/)
  gateway.answers['/wechat/sign'] = [json(200, {})]
  await assert.rejects(client.signedURL('/d.jpg'), /no url/)
})

test('a scan is described, approved and denied', async (t) => {
  const { gateway, client } = setUp(t)
  const scene = 'A'.repeat(22)
  gateway.answers['/wechat/scan/describe'] = [
    json(200, { numbers: [12, 34, 56], browser: 'Chrome, Windows', same_network: true, expires_in: 100 })
  ]
  gateway.answers['/wechat/scan/approve'] = [
    { statusCode: 204, data: '', header: {} },
    refusal(403, 'scan_wrong_number')
  ]
  gateway.answers['/wechat/scan/deny'] = [{ statusCode: 204, data: '', header: {} }]
  assert.deepEqual((await client.scan.describe(scene)).numbers, [12, 34, 56])
  await client.scan.approve(scene, 34)
  await assert.rejects(client.scan.approve(scene, 12), { error: 'scan_wrong_number', statusCode: 403 })
  await client.scan.deny(scene)
  assert.deepEqual(asked(gateway, '/wechat/scan/describe'), [{ scene }])
  assert.deepEqual(asked(gateway, '/wechat/scan/approve'), [
    { scene, number: 34 },
    { scene, number: 12 }
  ])
  assert.deepEqual(asked(gateway, '/wechat/scan/deny'), [{ scene }])
})

// Somebody shows the code of his own browser as a picture in a chat.
test('a scan from a picture is refused', async (t) => {
  const { gateway, wx, client } = setUp(t)
  for (const scene of [1048, 1049]) {
    wx.scene = scene
    await assert.rejects(client.scan.describe('A'.repeat(22)), { error: 'scan_picture' })
    await assert.rejects(client.scan.approve('A'.repeat(22), 1), { error: 'scan_picture' })
  }
  assert.equal(gateway.seen.length, 0)
})
