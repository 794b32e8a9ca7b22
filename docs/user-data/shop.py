"""A shop that knows its users by numbers of its own, sells coins and counts steps.

It has no AppSecret and no session_key: the gateway has. Python's own library is enough to run it.
"""

import hashlib, hmac, json, os, sqlite3, time, urllib.error, urllib.request, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GATEWAY = os.environ.get("GATEWAY", "http://127.0.0.1:8090")  # the site with wechat_api
HOOK_SECRET = os.environ.get("HOOK_SECRET", "a secret of the shop, 32 characters or more")
APP_KEY = os.environ.get("APP_KEY", "simulated-app-key")  # of virtual payment, from WeChat's console
OFFER = os.environ.get("OFFER", "1450000000")
PORT = int(os.environ.get("PORT", "9081"))

db = sqlite3.connect(os.environ.get("DATABASE", ":memory:"), check_same_thread=False, isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, appid TEXT, openid TEXT, phone TEXT, steps INTEGER, UNIQUE (appid, openid))")


def user_of(appid, openid):
    db.execute("INSERT INTO users (appid, openid) VALUES (?, ?) ON CONFLICT DO NOTHING", (appid, openid))
    return db.execute("SELECT id FROM users WHERE appid = ? AND openid = ?", (appid, openid)).fetchone()[0]


def signature(key, message):
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def verify(secret: str, header: str, body: bytes) -> bool:
    fields = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    t, given = fields.get("t", ""), fields.get("v1", "")
    if not t.isdigit() or abs(time.time() - int(t)) > 300:
        return False
    wanted = hmac.new(secret.encode(), t.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, given)


class Answer(Exception):
    """Ends a request with what somebody else has said."""


def ask(path, data, openid=None):
    """Calls WeChat, or the gateway's own services, by the gateway; in a user's name if there is an openid."""
    body = data if isinstance(data, str) else json.dumps(data)
    headers = {"Content-Type": "application/json"}
    if openid:
        headers["X-WeChat-OpenID"] = openid
    try:
        with urllib.request.urlopen(urllib.request.Request(GATEWAY + path, body.encode(), headers), timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise Answer(refused.code, json.load(refused))


def xpay(path, openid, more):
    """A call of virtual payment: the app signs it with its App Key, the gateway for the user."""
    body = json.dumps({"openid": openid, "env": 1, "user_ip": "192.0.2.7", **more})
    return ask(f"{path}?pay_sig={signature(APP_KEY, path + '&' + body)}", body, openid)


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        self.serve({"/me": self.me, "/coins": self.coins})

    def do_POST(self):
        self.serve({"/internal/wechat-login": self.login, "/phone": self.phone, "/steps": self.steps, "/order": self.order, "/spend": self.spend})

    # The hook: who is it, in our words?
    def login(self, body):
        if not verify(HOOK_SECRET, self.headers.get("X-WeChat-Signature", ""), body):
            return 401, {}
        who = json.loads(body)
        return 200, {"user_id": str(user_of(who["appid"], who["openid"]))}

    def me(self, body):
        number, phone, steps = db.execute("SELECT id, phone, steps FROM users WHERE id = ?", (self.number,)).fetchone()
        return 200, {"user": number, "phone": phone, "steps": steps}

    # <button open-type="getPhoneNumber">: the page sends e.detail.code.
    def phone(self, body):
        answer = ask("/wxa/business/getuserphonenumber", {"code": json.loads(body)["code"], "openid": self.openid})
        if answer["errcode"] != 0:
            return 400, {"error": "phone", "errcode": answer["errcode"]}
        number = answer["phone_info"]["phoneNumber"]
        db.execute("UPDATE users SET phone = ? WHERE id = ?", (number, self.number))
        return 200, {"phone": number}

    # wx.getWeRunData: the page sends what client.openData makes of it.
    def steps(self, body):
        sent = json.loads(body)
        data = ask("/gateway/decrypt", {"openid": self.openid, "encrypted_data": sent["encrypted_data"], "iv": sent["iv"]})["data"]
        steps = sum(day["step"] for day in data["stepInfoList"])
        db.execute("UPDATE users SET steps = ? WHERE id = ?", (steps, self.number))
        return 200, {"steps": steps}

    # What wx.requestVirtualPayment wants, for a number of coins.
    def order(self, body):
        sign_data = json.dumps({"offerId": OFFER, "buyQuantity": json.loads(body)["coins"], "env": 1, "currencyType": "CNY", "outTradeNo": uuid.uuid4().hex})
        users = ask("/gateway/signature", {"openid": self.openid, "data": sign_data})["signature"]
        return 200, {"signData": sign_data, "paySig": signature(APP_KEY, "requestVirtualPayment&" + sign_data), "signature": users, "mode": "short_series_coin"}

    def coins(self, body):
        return 200, {"coins": xpay("/xpay/query_user_balance", self.openid, {})["balance"]}

    def spend(self, body):
        sent = json.loads(body)
        answer = xpay("/xpay/currency_pay", self.openid, {"amount": sent["coins"], "order_id": uuid.uuid4().hex, "payitem": json.dumps([sent["item"]])})
        if answer["errcode"] != 0:
            return 402, {"error": "coins", "errcode": answer["errcode"]}
        return 200, {"coins": answer["balance"]}

    def serve(self, routes):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.number, self.openid = self.headers.get("X-WeChat-User-ID"), self.headers.get("X-OpenID")
        route = routes.get(self.path)
        try:
            if route is None:
                raise Answer(404, {})
            if route != self.login and not self.number:
                raise Answer(401, {})
            status, answer = route(body)
        except Answer as other:
            status, answer = other.args
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Shop).serve_forever()
