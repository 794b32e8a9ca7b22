package simulator

import (
	"crypto/hmac"
	"encoding/json"
	"io"
	"net/http"
)

// PaymentKey is the App Key of virtual payment (虚拟支付), of every app.
const PaymentKey = "simulated-app-key"

const maxQuantity = 1_000_000

// errors of wx.requestVirtualPayment.
const (
	payBadParameter = -15001
	payRepeated     = -15002
	payNotSigned    = -15005 // by the user
	payNotOurs      = -15006 // not signed with the App Key
)

// pay is wx.requestVirtualPayment, of coins, and the user's thumb.
func (s *Site) pay(r *http.Request) (any, error) {
	var form struct {
		AppID     string `json:"appid"`
		User      string `json:"user"`
		SignData  string `json:"signData"`
		PaySig    string `json:"paySig"`
		Signature string `json:"signature"`
		Mode      string `json:"mode"`
	}
	if err := decode(r, &form); err != nil {
		return nil, err
	}
	m, err := s.findMember(form.AppID, form.User)
	if err != nil {
		return nil, err
	}
	failed := func(code int) any {
		return map[string]any{"errMsg": "requestVirtualPayment:fail", "errCode": code}
	}
	var data struct {
		OfferID    string `json:"offerId"`
		Quantity   int    `json:"buyQuantity"`
		Currency   string `json:"currencyType"`
		OutTradeNo string `json:"outTradeNo"`
	}
	switch {
	case form.Mode != "short_series_coin", json.Unmarshal([]byte(form.SignData), &data) != nil,
		data.OfferID == "", data.Currency != "CNY", data.OutTradeNo == "", data.Quantity < 1, data.Quantity > maxQuantity:
		return failed(payBadParameter), nil
	case !hmac.Equal([]byte(sign(PaymentKey, []byte("requestVirtualPayment&"+form.SignData))), []byte(form.PaySig)):
		return failed(payNotOurs), nil
	case !m.hasSigned([]byte(form.SignData), form.Signature):
		return failed(payNotSigned), nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.coins.add(data.OutTradeNo, data.Quantity) {
		return failed(payRepeated), nil
	}
	m.coins.balance += data.Quantity
	m.coins.saved += data.Quantity
	return map[string]any{"errMsg": "requestVirtualPayment:ok"}, nil
}

type paymentForm struct {
	OpenID  string `json:"openid"`
	Env     int    `json:"env"`
	UserIP  string `json:"user_ip"`
	Amount  int    `json:"amount"`
	OrderID string `json:"order_id"`
	PayItem string `json:"payitem"`
}

// paid hands a call of /xpay/ to answer, which holds the member's mu: one signed by
// the app, with the App Key, and by the user.
func (s *Site) paid(answer func(*member, paymentForm) (map[string]any, int)) func(*http.Request) (map[string]any, int) {
	return func(r *http.Request) (map[string]any, int) {
		q := r.URL.Query()
		appID, live := s.Server.tokens.appOf(q.Get("access_token"))
		if !live {
			return nil, 40001
		}
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxSignedBody))
		var form paymentForm
		if err != nil || json.Unmarshal(body, &form) != nil {
			return nil, 268490002
		}
		m, found := s.Server.members.find(appID, form.OpenID)
		paySig := sign(PaymentKey, append([]byte(r.URL.Path+"&"), body...))
		switch {
		case form.OpenID == "":
			return nil, 268490001
		case !found:
			return nil, 268490009
		case !hmac.Equal([]byte(paySig), []byte(q.Get("pay_sig"))), !m.hasSigned(body, q.Get("signature")):
			return nil, 268490003
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		return answer(m, form)
	}
}

func queryBalance(m *member, form paymentForm) (map[string]any, int) {
	if form.UserIP == "" {
		return nil, 268490002
	}
	fields := ok()
	fields["balance"], fields["present_balance"] = m.coins.balance, 0
	fields["sum_save"], fields["sum_cost"], fields["first_save_flag"] = m.coins.saved, m.coins.spent, m.coins.saved == 0
	return fields, 0
}

// payCoins is currency_pay: coins for a thing of the app's.
func payCoins(m *member, form paymentForm) (map[string]any, int) {
	switch {
	case form.UserIP == "", form.OrderID == "", form.PayItem == "", form.Amount < 1, form.Amount > maxQuantity:
		return nil, 268490002
	case form.Amount > m.coins.balance:
		return nil, 268490006
	case !m.coins.add(form.OrderID, form.Amount):
		return nil, 268490004
	}
	m.coins.balance -= form.Amount
	m.coins.spent += form.Amount
	fields := ok()
	fields["order_id"], fields["balance"], fields["used_present_amount"] = form.OrderID, m.coins.balance, 0
	return fields, 0
}

func queryOrder(m *member, form paymentForm) (map[string]any, int) {
	order, found := m.coins.orders[form.OrderID]
	if !found {
		return nil, 268490002
	}
	fields := ok()
	fields["order"] = map[string]any{
		"order_id": form.OrderID, "create_time": order.created.Unix(), "order_fee": order.amount, "status": 4, // delivered
	}
	return fields, 0
}
